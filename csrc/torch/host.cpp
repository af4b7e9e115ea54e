// The Python module fastconv._torch: the host of plain eager calls (../bindings/host.h) with
// torch's C++ API. It is optional: it is built if torch can be imported, for that torch alone.
// Without it bindings/python_host.cpp gives the same results. Layer: torch host.
#include <ATen/Parallel.h>
#include <Python.h>
#include <torch/csrc/Dtype.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/version.h>

#include <memory>

#include "../bindings/host.h"
#include "gradient.h"
#include "operators.h"
#include "tensors.h"

namespace fastconv::torch_host {
namespace {

using bindings::View;

Tensor conv2d(const Call& call, Buffer x, Buffer w, Buffer bias, bool cache_filters) {
  Tensor y = y_layout(call.conv).make(type_of(call));
  entry_points->conv2d(call, x, w, {bias, {}}, buffer(y), at::get_num_threads(), cache_filters);
  return y;
}

Tensor max_pool2d(const Call& call, Buffer x, Buffer codes) {
  Tensor y = y_layout(call.pool).make(type_of(call));
  entry_points->max_pool2d(call, x, buffer(y), codes, at::get_num_threads());
  return y;
}

Tensor new_codes(const Call& call) { return y_layout(call.pool).make(codes_type(call.pool)); }

Tensor average(const Call& call, Buffer x) {
  Tensor y = y_layout(call.pool).make(type_of(call));
  entry_points->avg_pool2d(call, x, buffer(y), at::get_num_threads());
  return y;
}

Tensor recorded_conv2d(const Call& call, const Tensor& x, const Tensor& w, const Tensor& bias) {
  // The gradient of each factor needs only the other factor.
  return recorded(conv2d(call, buffer(x), buffer(w), buffer(bias), false), call,
                  torch::autograd::collect_next_edges(x, w, bias),
                  {w.requires_grad() ? x : Tensor(), x.requires_grad() ? w : Tensor()});
}

// `codes`: for a maximum
Tensor recorded_pool(const Call& call, const Tensor& x, const Tensor& codes) {
  auto edges = torch::autograd::collect_next_edges(x);
  if (call.kernel != bindings::MAX_POOL2D)
    return recorded(average(call, buffer(x)), call, std::move(edges), {});
  return recorded(max_pool2d(call, buffer(x), buffer(codes)), call, std::move(edges), {codes});
}

// (y, indices); the gradient of y is that of a call without indices
PyObject* with_indices(Call call, const Tensor& x, bool is_recorded) {
  call.kernel = bindings::MAX_POOL2D;
  // Codes of few outputs that nothing keeps need no tensor.
  constexpr int64_t FEW = 256;
  alignas(64) int32_t few[FEW];
  const int64_t count = call.pool.y_count();
  const Tensor codes = is_recorded || count > FEW ? new_codes(call) : Tensor();
  const Buffer places =
      codes.defined() ? buffer(codes) : Buffer{reinterpret_cast<uintptr_t>(few), count};
  const Tensor y =
      is_recorded ? recorded_pool(call, x, codes) : max_pool2d(call, buffer(x), places);
  const Tensor indices = y_layout(call.pool).make(at::kLong);
  entry_points->max_pool2d_indices(call, places, buffer(indices), at::get_num_threads());
  return Py_BuildValue("(NN)", THPVariable_Wrap(y), THPVariable_Wrap(indices));
}

class TorchHost final : public bindings::Host {
 public:
  bool watched() override { return torch_host::watched(); }

  bool view(PyObject* object, View& view) override {
    if (!THPVariable_CheckExact(object)) return false;
    const Tensor& t = THPVariable_Unpack(object);
    const std::optional<DType> dtype = dtype_of(t.scalar_type());
    if (!dtype || !is_plain(t)) return false;
    view = {buffer(t), *dtype, static_cast<int>(t.dim()), t.sizes().data(), t.strides().data()};
    return true;
  }

  PyObject* run(const bindings::Plan& plan, PyObject*, PyObject* const* tensors,
                const View* views) override {
    HANDLE_TH_ERRORS
    const Call& call = plan.call;
    const Tensor& x_given = THPVariable_Unpack(tensors[0]);
    if (call.kernel == bindings::MAX_POOL2D_INDICES)
      return with_indices(call, x_given, at::GradMode::is_enabled() && x_given.requires_grad());
    if (at::GradMode::is_enabled()) {
      const Tensor& x = x_given;
      if (call.kernel != bindings::CONV2D) {
        if (x.requires_grad()) {
          const bool maxima = call.kernel == bindings::MAX_POOL2D;
          return THPVariable_Wrap(recorded_pool(call, x, maxima ? new_codes(call) : Tensor()));
        }
      } else {
        const Tensor& w = THPVariable_Unpack(tensors[1]);
        const Tensor bias = tensors[2] == Py_None ? Tensor() : THPVariable_Unpack(tensors[2]);
        if (x.requires_grad() || w.requires_grad() || (bias.defined() && bias.requires_grad()))
          return THPVariable_Wrap(recorded_conv2d(call, x, w, bias));
      }
    }
    const Buffer x = views[0].buffer;
    if (call.kernel == bindings::CONV2D)
      return THPVariable_Wrap(conv2d(call, x, views[1].buffer, views[2].buffer, true));
    if (call.kernel == bindings::MAX_POOL2D) return THPVariable_Wrap(max_pool2d(call, x, {}));
    return THPVariable_Wrap(average(call, x));
    END_HANDLE_TH_ERRORS
  }
};

// Takes the kernels of fastconv._C, whose capsule stays for good, as does a former one: a backward
// pass may be using it.
bool take_entry_points(PyObject* table) {
  entry_points = static_cast<const bindings::EntryPoints*>(
      PyCapsule_GetPointer(table, bindings::ENTRY_POINTS_CAPSULE));
  Py_INCREF(table);
  return entry_points != nullptr;
}

// host(kernels, general backwards by row, names of the nodes by row) -> capsule
PyObject* make_host(PyObject*, PyObject* args) {
  PyObject *table, *backwards, *names;
  if (!PyArg_ParseTuple(args, "OO!O!", &table, &PyTuple_Type, &backwards, &PyTuple_Type, &names))
    return nullptr;
  auto gradients = std::make_unique<Gradients>();
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i) {
    const char* name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
    if (!name) return nullptr;
    gradients->names.emplace_back(name);
  }
  if (!take_entry_points(table)) return nullptr;
  Py_INCREF(backwards);  // for good
  gradients->general = backwards;
  gradients_of_rows = gradients.release();
  static TorchHost host;
  return PyCapsule_New(static_cast<bindings::Host*>(&host), bindings::HOST_CAPSULE, nullptr);
}

// register_operators(entry_points)
PyObject* python_register_operators(PyObject*, PyObject* table) {
  HANDLE_TH_ERRORS
  if (!take_entry_points(table)) return nullptr;
  register_operators();
  Py_RETURN_NONE;
  END_HANDLE_TH_ERRORS
}

// register_recording({name of an operator: function})
PyObject* python_register_recording(PyObject*, PyObject* functions) {
  HANDLE_TH_ERRORS
  register_recording(functions);
  Py_RETURN_NONE;
  END_HANDLE_TH_ERRORS
}

// autocast_weight(weight, dtype) -> the weight as torch's autocast would hand it to conv2d, from
// the cache that torch empties at the end of the outermost autocast block
PyObject* autocast_weight(PyObject*, PyObject* args) {
  HANDLE_TH_ERRORS
  PyObject *weight, *dtype;
  if (!PyArg_ParseTuple(args, "O!O!", THPVariableClass, &weight, &THPDtypeType, &dtype))
    return nullptr;
  const auto type = reinterpret_cast<THPDtype*>(dtype)->scalar_type;
  return THPVariable_Wrap(at::autocast::cached_cast(type, THPVariable_Unpack(weight), at::kCPU));
  END_HANDLE_TH_ERRORS
}

// unwatched(*tensors, None among them) -> whether they may go straight to the kernels: the answer
// of the function of that name in fastconv/core/tensors.py for tensors of the CPU
PyObject* python_unwatched(PyObject*, PyObject* const* tensors, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  if (operators_are_watched()) Py_RETURN_FALSE;
  for (Py_ssize_t i = 0; i < count; ++i)
    if (tensors[i] != Py_None &&
        (!THPVariable_CheckExact(tensors[i]) || !is_plain(THPVariable_Unpack(tensors[i]))))
      Py_RETURN_FALSE;
  Py_RETURN_TRUE;
  END_HANDLE_TH_ERRORS
}

PyMethodDef METHODS[] = {
    {"unwatched", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&python_unwatched)),
     METH_FASTCALL, nullptr},
    {"host", make_host, METH_VARARGS, nullptr},
    {"register_operators", python_register_operators, METH_O, nullptr},
    {"register_recording", python_register_recording, METH_O, nullptr},
    {"autocast_weight", autocast_weight, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};
PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_torch", nullptr, -1, METHODS, nullptr, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace fastconv::torch_host

PyMODINIT_FUNC PyInit__torch() {
  PyObject* module = PyModule_Create(&fastconv::torch_host::MODULE);
  if (module && (PyModule_AddStringConstant(module, "torch_version", TORCH_VERSION) != 0 ||
                 PyModule_AddStringConstant(module, "interface",
                                            fastconv::bindings::ENTRY_POINTS_CAPSULE) != 0)) {
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}
