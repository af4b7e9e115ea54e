// fastconv._torch: the host of plain eager calls (../bindings/host.h) written against torch's C++
// API. A call on a tiny input then costs less than torch's own, with its gradient recorded too.
//
// Optional: built where torch is importable, for that torch alone. Without it
// bindings/python_host.cpp answers, with the same results.
//
// A backward pass goes straight to the kernels, without the GIL, where its tensors are plain and
// nobody watches. Otherwise, and where its result is to be differentiated in turn, it calls
// fastconv/eager.py, which applies the Functions of fastconv/autograd.py.
#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/PythonTorchFunctionTLS.h>
#include <ATen/TracerMode.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/sum.h>
#include <Python.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/forward_grad.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>
#include <torch/csrc/profiler/orchestration/observer.h>
#include <torch/csrc/utils/object_ptr.h>
#include <torch/version.h>

#include <cstring>
#include <optional>
#include <type_traits>

#include "../bindings/host.h"

namespace fastconv::torch_host {
namespace {

using at::Tensor;
using bindings::Buffer;
using bindings::Call;
using bindings::View;
using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;
using torch::dynamo::autograd::CompiledNodeArgs;
using torch::dynamo::autograd::PackedArgs;
using torch::dynamo::autograd::SwapSavedVariables;

const bindings::Kernels* kernels = nullptr;
// By operator: what computes gradients where the kernels alone do not do; see eager.py.
PyObject* general_backwards = nullptr;

bool watched() {
  return c10::impl::dispatch_mode_enabled() || at::impl::torch_function_mode_enabled() ||
         c10::impl::tls_is_dispatch_key_included(
             c10::DispatchKey::FuncTorchDynamicLayerFrontMode) ||
         torch::profiler::impl::profilerEnabled() || at::tracer::impl::is_dispatch_enabled() ||
         at::autocast::is_autocast_enabled(at::kCPU) ||
         torch::autograd::ForwardADLevel::try_get_by_idx(0) != nullptr;
}

// Whether a tensor is its memory alone, on the CPU: no wrapper, pending negation, other layout.
bool is_plain(const Tensor& t) {
  constexpr c10::DispatchKeySet PLAIN({c10::DispatchKey::CPU, c10::DispatchKey::ADInplaceOrView,
                                       c10::DispatchKey::AutogradCPU,
                                       c10::DispatchKey::AutocastCPU});
  return PLAIN.isSupersetOf(t.key_set()) && t.has_storage() && t.const_data_ptr() != nullptr;
}

Buffer buffer(const Tensor& t) {
  if (!t.defined()) return {};
  return {reinterpret_cast<uintptr_t>(t.const_data_ptr()), t.numel()};
}

c10::ScalarType type_of(const Call& call) { return call.dtype == 0 ? at::kFloat : at::kDouble; }

at::MemoryFormat format(bool channels_last) {
  return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

// Sizes and layout of a 4-D tensor of a call.
struct Layout {
  int64_t sizes[4];
  bool channels_last;

  Tensor make(c10::ScalarType type) const {
    return at::detail::empty_cpu(sizes, type, false, format(channels_last));
  }
  // Whether kernels may read it as it is.
  bool fits(const Tensor& t, c10::ScalarType type) const {
    return is_plain(t) && t.scalar_type() == type && t.sizes() == at::IntArrayRef(sizes) &&
           t.is_contiguous(format(channels_last));
  }
};

Layout x_layout(const Conv2dShape& s) { return {{s.N, s.IC, s.IH, s.IW}, s.x_channels_last}; }
Layout w_layout(const Conv2dShape& s) {
  return {{s.OC, s.group_IC(), s.KH, s.KW}, s.w_channels_last};
}
Layout y_layout(const Conv2dShape& s) { return {{s.N, s.OC, s.OH(), s.OW()}, s.y_channels_last}; }
Layout x_layout(const Pool2dShape& s) { return {{s.N, s.C, s.IH, s.IW}, s.channels_last}; }
Layout y_layout(const Pool2dShape& s) { return {{s.N, s.C, s.OH, s.OW}, s.channels_last}; }

c10::ScalarType codes_type(const Pool2dShape& s) { return s.byte_codes() ? at::kByte : at::kInt; }

// ---- calls ---------------------------------------------------------------------------------------

Tensor conv2d(const Call& call, Buffer x, Buffer w, Buffer bias, bool cache_filters) {
  Tensor y = y_layout(call.conv).make(type_of(call));
  kernels->conv2d(call, x, w, bias, buffer(y), at::get_num_threads(), cache_filters);
  return y;
}

Tensor max_pool2d(const Call& call, Buffer x, Buffer codes) {
  Tensor y = y_layout(call.pool).make(type_of(call));
  kernels->max_pool2d(call, x, buffer(y), codes, at::get_num_threads());
  return y;
}

Tensor average(const Call& call, Buffer x) {
  Tensor y = y_layout(call.pool).make(type_of(call));
  kernels->avg_pool2d(call, x, buffer(y), at::get_num_threads());
  return y;
}

// ---- gradients -----------------------------------------------------------------------------------

// Whether a backward pass may go straight to the kernels.
bool direct(const Tensor& grad_y, const Layout& layout, c10::ScalarType type) {
  return !at::GradMode::is_enabled() && !watched() && layout.fits(grad_y, type);
}

// The arguments of a call as fastconv/ops.py has them; a new reference.
PyObject* python_call(const Call& call) {
  if (call.op == bindings::CONV2D) {
    const Conv2dShape& s = call.conv;
    return Py_BuildValue("(((LL)(LLLL)(LL)L)(LLLL)(LLLL)NN)", s.stride_h, s.stride_w, s.pad_top,
                         s.pad_bottom, s.pad_left, s.pad_right, s.dilation_h, s.dilation_w,
                         s.groups, s.N, s.IC, s.IH, s.IW, s.OC, s.group_IC(), s.KH, s.KW,
                         PyBool_FromLong(s.x_channels_last), PyBool_FromLong(s.w_channels_last));
  }
  const Pool2dShape& s = call.pool;
  PyObject* args = nullptr;
  if (call.op == bindings::MAX_POOL2D)
    args = Py_BuildValue("((LL)(LL)(LL)(LL)N)", s.KH, s.KW, s.stride_h, s.stride_w, s.pad_h,
                         s.pad_w, s.dilation_h, s.dilation_w, PyBool_FromLong(call.ceil_mode));
  else if (call.op == bindings::AVG_POOL2D)
    args = Py_BuildValue(
        "((LL)(LL)(LL)NNN)", s.KH, s.KW, s.stride_h, s.stride_w, s.pad_h, s.pad_w,
        PyBool_FromLong(call.ceil_mode), PyBool_FromLong(s.count_include_pad),
        s.divisor_override == 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(s.divisor_override));
  else
    args = Py_BuildValue("((LL))", s.OH, s.OW);
  return Py_BuildValue("(N(LLLL)N)", args, s.N, s.C, s.IH, s.IW, PyBool_FromLong(s.channels_last));
}

using Needed = std::vector<bool>;  // of the gradients of x, w and bias, or of x

// general_backwards[op](call, needed, grad_y, *saved) -> a gradient or None for each tensor.
variable_list general_backward(const Call& call, const Needed& needed, const Tensor& grad_y,
                               const variable_list& saved) {
  const pybind11::gil_scoped_acquire gil;
  THPObjectPtr args(PyTuple_New(static_cast<Py_ssize_t>(3 + saved.size())));
  PyObject* wanted = PyTuple_New(static_cast<Py_ssize_t>(needed.size()));
  for (size_t i = 0; i < needed.size(); ++i)
    PyTuple_SET_ITEM(wanted, i, PyBool_FromLong(needed[i]));
  PyTuple_SET_ITEM(args.get(), 0, python_call(call));
  PyTuple_SET_ITEM(args.get(), 1, wanted);
  PyTuple_SET_ITEM(args.get(), 2, THPVariable_Wrap(grad_y));
  for (size_t i = 0; i < saved.size(); ++i)
    PyTuple_SET_ITEM(args.get(), 3 + i, THPVariable_Wrap(saved[i]));  // None if undefined
  THPObjectPtr result(
      PyObject_Call(PyList_GET_ITEM(general_backwards, call.op), args.get(), nullptr));
  if (!result) {
    python_error error;
    error.persist();
    throw error;
  }
  variable_list gradients;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(result.get()); ++i) {
    PyObject* gradient = PyTuple_GET_ITEM(result.get(), i);
    gradients.push_back(gradient == Py_None ? Tensor() : THPVariable_Unpack(gradient));
  }
  return gradients;
}

// saved: x, w
variable_list conv2d_backward(const Call& call, const Needed& needed, const Tensor& grad_y,
                              const variable_list& saved) {
  const Tensor &x = saved[0], &w = saved[1];
  const auto type = type_of(call);
  if (!direct(grad_y, y_layout(call.conv), type) ||
      (needed[0] && !w_layout(call.conv).fits(w, type)) ||
      (needed[1] && !x_layout(call.conv).fits(x, type)))
    return general_backward(call, needed, grad_y, saved);
  const int threads = at::get_num_threads();
  variable_list result(3);
  if (needed[0]) {
    result[0] = x_layout(call.conv).make(type);
    kernels->conv2d_backward_input(call, buffer(grad_y), buffer(w), buffer(result[0]), threads);
  }
  if (needed[1]) {
    result[1] = w_layout(call.conv).make(type);
    if (needed[2]) result[2] = at::detail::empty_cpu({call.conv.OC}, type, false, std::nullopt);
    kernels->conv2d_backward_weight(call, buffer(grad_y), buffer(x), buffer(result[1]),
                                    buffer(result[2]), threads);
  } else if (needed[2]) {
    result[2] = grad_y.sum(at::IntArrayRef{0, 2, 3});
  }
  return result;
}

// saved: codes of max_pool2d
variable_list pool_backward(const Call& call, const Tensor& grad_y, const variable_list& saved) {
  const Layout layout = y_layout(call.pool);
  const bool codes = call.op == bindings::MAX_POOL2D;
  if (!direct(grad_y, layout, type_of(call)) ||
      (codes && !layout.fits(saved[0], codes_type(call.pool))))
    return general_backward(call, {true}, grad_y, saved);
  Tensor grad_x = x_layout(call.pool).make(type_of(call));
  const int threads = at::get_num_threads();
  if (codes)
    kernels->max_pool2d_backward(call, buffer(grad_y), buffer(saved[0]), buffer(grad_x), threads);
  else
    kernels->avg_pool2d_backward(call, buffer(grad_y), buffer(grad_x), threads);
  return {grad_x};
}

variable_list backward(const Call& call, const Needed& needed, const Tensor& grad_y,
                       const variable_list& saved) {
  if (!grad_y.defined()) return variable_list(needed.size());
  return call.op == bindings::CONV2D ? conv2d_backward(call, needed, grad_y, saved)
                                     : pool_backward(call, grad_y, saved);
}

// The node of the graph behind every y.
class Gradient final : public Node {
 public:
  Gradient(const Call& its_call, const variable_list& tensors) : call(its_call) {
    saved.reserve(tensors.size());
    for (const Tensor& t : tensors) saved.emplace_back(t, false);
  }

  std::string name() const override {
    constexpr const char* NAMES[] = {"FastconvConv2dBackward", "FastconvMaxPool2dBackward",
                                     "FastconvAvgPool2dBackward",
                                     "FastconvAdaptiveAvgPool2dBackward"};
    return NAMES[call.op];
  }

  variable_list apply(variable_list&& grads) override {
    variable_list tensors;
    {
      const std::lock_guard<std::mutex> lock(mutex_);  // against release_variables
      tensors = unpacked();
    }
    return backward(call, needed(), grads[0], tensors);
  }

  void release_variables() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (SavedVariable& tensor : saved) tensor.reset_data();
  }

  // Compiled autograd calls backward() as it is, between the parts of the graph that it compiles.
  void compiled_args(CompiledNodeArgs& args) const override {
    args.collect(name());
    args.collect(call_bytes());
    args.collect(saved, false);
  }

  variable_list apply_with_saved(const variable_list& grads, SwapSavedVariables& swap) override {
    swap.before(saved);
    PackedArgs packed;
    packed.pack(call_bytes());
    packed.pack(needed());
    packed.pack(unpacked());
    const std::vector<c10::IValue> args = std::move(packed).vec();
    std::vector<c10::TypePtr> schema;
    for (const c10::IValue& value : args)
      schema.push_back(value.isTensor() ? c10::TensorType::get() : value.type());
    const auto& compiler = torch::dynamo::autograd::getPyCompilerInterface();
    const std::string function = compiler->bind_function(
        swap.get_py_compiler(), name(), &run_packed, schema, /*is_custom_function=*/true,
        /*is_traceable=*/false);
    using Metadata = std::vector<std::optional<torch::autograd::InputMetadata>>;
    variable_list gradients =
        compiler->call_function(swap.get_py_compiler(), "apply_functional", function, grads, args,
                                torch::dynamo::autograd::IValuePacker<Metadata>::pack(
                                    torch::dynamo::autograd::get_input_metadata(next_edges())));
    swap.after(saved);
    return gradients;
  }

 private:
  std::string call_bytes() const {
    static_assert(std::is_trivially_copyable_v<Call>);
    return std::string(reinterpret_cast<const char*>(&call), sizeof call);
  }

  Needed needed() const {
    Needed result(num_outputs());
    for (size_t i = 0; i < result.size(); ++i) result[i] = task_should_compute_output(i);
    return result;
  }

  variable_list unpacked() const {
    variable_list tensors;
    for (const SavedVariable& tensor : saved) tensors.push_back(tensor.unpack());
    return tensors;
  }

  static variable_list run_packed(const variable_list& grads,
                                  const std::vector<c10::IValue>& args) {
    PackedArgs packed(args);
    Call call;
    std::memcpy(&call, packed.unpack<std::string>().data(), sizeof call);
    const Needed needed = packed.unpack<Needed>();
    return backward(call, needed, grads[0], packed.unpack<variable_list>());
  }

  Call call;
  std::vector<SavedVariable> saved;
};

// y with its gradient recorded, for the edges of the tensors that it came from.
Tensor recorded(Tensor y, const Call& call, torch::autograd::edge_list edges,
                const variable_list& saved) {
  const auto node = c10::make_intrusive<Gradient>(call, saved);
  node->set_next_edges(std::move(edges));
  torch::autograd::set_history(y, node);
  return y;
}

Tensor recorded_conv2d(const Call& call, const Tensor& x, const Tensor& w, const Tensor& bias) {
  // Each gradient needs the other factor alone.
  return recorded(conv2d(call, buffer(x), buffer(w), buffer(bias), false), call,
                  torch::autograd::collect_next_edges(x, w, bias),
                  {w.requires_grad() ? x : Tensor(), x.requires_grad() ? w : Tensor()});
}

Tensor recorded_pool(const Call& call, const Tensor& x) {
  auto edges = torch::autograd::collect_next_edges(x);
  if (call.op != bindings::MAX_POOL2D)
    return recorded(average(call, buffer(x)), call, std::move(edges), {});
  const Tensor codes = y_layout(call.pool).make(codes_type(call.pool));
  return recorded(max_pool2d(call, buffer(x), buffer(codes)), call, std::move(edges), {codes});
}

class TorchHost final : public bindings::Host {
 public:
  bool watched() override { return torch_host::watched(); }

  bool view(PyObject* object, View& view) override {
    if (!THPVariable_CheckExact(object)) return false;
    const Tensor& t = THPVariable_Unpack(object);
    const auto type = t.scalar_type();
    if ((type != at::kFloat && type != at::kDouble) || !is_plain(t)) return false;
    view = {buffer(t), type == at::kFloat ? 32 : 64, static_cast<int>(t.dim()), t.sizes().data(),
            t.strides().data()};
    return true;
  }

  PyObject* run(const bindings::Plan& plan, PyObject*, PyObject* const* tensors,
                const View* views) override {
    HANDLE_TH_ERRORS
    const Call& call = plan.call;
    if (at::GradMode::is_enabled()) {
      const Tensor& x = THPVariable_Unpack(tensors[0]);
      if (call.op != bindings::CONV2D) {
        if (x.requires_grad()) return THPVariable_Wrap(recorded_pool(call, x));
      } else {
        const Tensor& w = THPVariable_Unpack(tensors[1]);
        const Tensor bias = tensors[2] == Py_None ? Tensor() : THPVariable_Unpack(tensors[2]);
        if (x.requires_grad() || w.requires_grad() || (bias.defined() && bias.requires_grad()))
          return THPVariable_Wrap(recorded_conv2d(call, x, w, bias));
      }
    }
    const Buffer x = views[0].buffer;
    if (call.op == bindings::CONV2D)
      return THPVariable_Wrap(conv2d(call, x, views[1].buffer, views[2].buffer, true));
    if (call.op == bindings::MAX_POOL2D) return THPVariable_Wrap(max_pool2d(call, x, {}));
    return THPVariable_Wrap(average(call, x));
    END_HANDLE_TH_ERRORS
  }
};

// host(kernels, general_backwards) -> capsule
PyObject* make_host(PyObject*, PyObject* args) {
  PyObject *table, *backwards;
  if (!PyArg_ParseTuple(args, "OO!", &table, &PyList_Type, &backwards)) return nullptr;
  kernels =
      static_cast<const bindings::Kernels*>(PyCapsule_GetPointer(table, bindings::KERNELS_CAPSULE));
  if (!kernels) return nullptr;
  Py_INCREF(table);
  Py_INCREF(backwards);
  general_backwards = backwards;
  static TorchHost host;
  return PyCapsule_New(static_cast<bindings::Host*>(&host), bindings::HOST_CAPSULE, nullptr);
}

PyMethodDef METHODS[] = {{"host", make_host, METH_VARARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};
PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_torch", nullptr, -1, METHODS, nullptr, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace fastconv::torch_host

PyMODINIT_FUNC PyInit__torch() {
  PyObject* module = PyModule_Create(&fastconv::torch_host::MODULE);
  if (module && PyModule_AddStringConstant(module, "torch_version", TORCH_VERSION) != 0) {
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}
