// The node of the autograd graph behind every y of a plain call, and its backward (formulas:
// ../core/conv2d.h, ../core/shape.h). Only host.cpp includes this file, because torch's headers
// take long to compile. Layer: torch host.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/ops/sum.h>
#include <Python.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>
#include <torch/csrc/utils/object_ptr.h>
#include <torch/version.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "entry_points.h"
#include "tensors.h"

// torch's interface of compiled autograd, which older versions have otherwise. There a node raises
// torch's error, "compiled_args not implemented".
#define FASTCONV_COMPILED_AUTOGRAD (TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 8)

namespace fastconv::torch_host {
namespace {

using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// By row of Call::op, and never freed: a backward pass may be using former ones.
struct Gradients {
  PyObject* general;               // a tuple; what the kernels alone do not do, see eager.py
  std::vector<std::string> names;  // of the nodes
};
const Gradients* gradients_of_rows = nullptr;

// Returns whether a backward pass may call the kernels directly, without the GIL: its tensors are
// plain, nothing watches, and its result will not be differentiated. Otherwise it calls Python
// (Gradients::general).
bool direct(const Tensor& grad_y, const Layout& layout, c10::ScalarType type) {
  return !at::GradMode::is_enabled() && !watched() && layout.matches(grad_y, type);
}

// Returns the arguments of a call as the operators in Python have them, as a new reference.
PyObject* python_call(const Call& call) {
  if (call.kernel == bindings::CONV2D) {
    const Conv2dShape& s = call.conv;
    return Py_BuildValue("(((LL)(LLLL)(LL)L)(LLLL)(LLLL)NN)", s.stride_h, s.stride_w, s.pad_top,
                         s.pad_bottom, s.pad_left, s.pad_right, s.dilation_h, s.dilation_w,
                         s.groups, s.N, s.IC, s.IH, s.IW, s.OC, s.group_IC(), s.KH, s.KW,
                         PyBool_FromLong(s.x_channels_last), PyBool_FromLong(s.w_channels_last));
  }
  const Pool2dShape& s = call.pool;
  PyObject* args = nullptr;
  if (s.adaptive)
    args = Py_BuildValue("((LL))", s.OH, s.OW);
  else if (call.kernel == bindings::MAX_POOL2D)
    args = Py_BuildValue("((LL)(LL)(LL)(LL)N)", s.KH, s.KW, s.stride_h, s.stride_w, s.pad_h,
                         s.pad_w, s.dilation_h, s.dilation_w, PyBool_FromLong(call.ceil_mode));
  else
    args = Py_BuildValue(
        "((LL)(LL)(LL)NNN)", s.KH, s.KW, s.stride_h, s.stride_w, s.pad_h, s.pad_w,
        PyBool_FromLong(call.ceil_mode), PyBool_FromLong(s.count_include_pad),
        s.divisor_override == 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(s.divisor_override));
  return Py_BuildValue("(N(LLLL)N)", args, s.N, s.C, s.IH, s.IW, PyBool_FromLong(s.channels_last));
}

using Needed = std::vector<bool>;  // for x, w and bias, or for x

// general[op](call, needed, grad_y, *saved) -> a gradient or None for each tensor.
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
  PyObject* function = PyTuple_GetItem(gradients_of_rows->general, call.op);
  THPObjectPtr result(function ? PyObject_Call(function, args.get(), nullptr) : nullptr);
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
      (needed[0] && !w_layout(call.conv).matches(w, type)) ||
      (needed[1] && !x_layout(call.conv).matches(x, type)))
    return general_backward(call, needed, grad_y, saved);
  const int threads = at::get_num_threads();
  variable_list result(3);
  if (needed[0]) {
    result[0] = x_layout(call.conv).make(type);
    entry_points->conv2d_backward_input(call, buffer(grad_y), buffer(w), buffer(result[0]),
                                        threads);
  }
  if (needed[1]) {
    result[1] = w_layout(call.conv).make(type);
    if (needed[2]) result[2] = at::detail::empty_cpu({call.conv.OC}, type, false, std::nullopt);
    entry_points->conv2d_backward_weight(call, buffer(grad_y), buffer(x), buffer(result[1]),
                                         buffer(result[2]), threads);
  } else if (needed[2]) {
    result[2] = grad_y.sum(at::IntArrayRef{0, 2, 3});
  }
  return result;
}

// saved: codes of max_pool2d
variable_list pool_backward(const Call& call, const Tensor& grad_y, const variable_list& saved) {
  const Layout layout = y_layout(call.pool);
  const bool codes = call.kernel == bindings::MAX_POOL2D;
  if (!direct(grad_y, layout, type_of(call)) ||
      (codes && !layout.matches(saved[0], codes_type(call.pool))))
    return general_backward(call, {true}, grad_y, saved);
  Tensor grad_x = x_layout(call.pool).make(type_of(call));
  const int threads = at::get_num_threads();
  if (codes)
    entry_points->max_pool2d_backward(call, buffer(grad_y), buffer(saved[0]), buffer(grad_x),
                                      threads);
  else
    entry_points->avg_pool2d_backward(call, buffer(grad_y), buffer(grad_x), threads);
  return {grad_x};
}

variable_list backward(const Call& call, const Needed& needed, const Tensor& grad_y,
                       const variable_list& saved) {
  if (!grad_y.defined()) return variable_list(needed.size());
  return call.kernel == bindings::CONV2D ? conv2d_backward(call, needed, grad_y, saved)
                                         : pool_backward(call, grad_y, saved);
}

// The node of the graph behind every y.
class Gradient final : public Node {
 public:
  Gradient(const Call& its_call, const variable_list& tensors) : call(its_call) {
    saved.reserve(tensors.size());
    for (const Tensor& t : tensors) saved.emplace_back(t, false);
  }

  std::string name() const override { return gradients_of_rows->names.at(call.op); }

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

#if FASTCONV_COMPILED_AUTOGRAD
  using CompiledNodeArgs = torch::dynamo::autograd::CompiledNodeArgs;
  using PackedArgs = torch::dynamo::autograd::PackedArgs;
  using SwapSavedVariables = torch::dynamo::autograd::SwapSavedVariables;

  // Compiled autograd traces backward(), which calls Python for tensors without memory, and so
  // puts operators into the graph that it compiles.
  void compiled_args(CompiledNodeArgs& args) const override {
    args.collect(name());
    for (const int64_t word : words()) args.collect(word);
    for (const bool asked : needed()) args.collect(asked);
    args.collect(saved, false);
  }

  variable_list apply_with_saved(const variable_list& grads, SwapSavedVariables& swap) override {
    swap.before(saved);
    PackedArgs packed;
    // As numbers, because a string would have to be text.
    for (const int64_t word : words()) packed.pack(word);
    packed.pack(needed());
    packed.pack(unpacked());
    const std::vector<c10::IValue> args = std::move(packed).vec();
    std::vector<c10::TypePtr> schema;
    for (const c10::IValue& value : args)
      schema.push_back(value.isTensor() ? c10::TensorType::get() : value.type());
    const auto& compiler = torch::dynamo::autograd::getPyCompilerInterface();
    const std::string function = compiler->bind_function(
        swap.get_py_compiler(), name(), &run_packed, schema, /*is_custom_function=*/true,
        /*is_traceable=*/true);
    using Metadata = std::vector<std::optional<torch::autograd::InputMetadata>>;
    variable_list gradients =
        compiler->call_function(swap.get_py_compiler(), "apply_functional", function, grads, args,
                                torch::dynamo::autograd::IValuePacker<Metadata>::pack(
                                    torch::dynamo::autograd::get_input_metadata(next_edges())));
    swap.after(saved);
    return gradients;
  }
#endif

 private:
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

#if FASTCONV_COMPILED_AUTOGRAD
  // The bytes of the call.
  using Words = std::array<int64_t, (sizeof(Call) + 7) / 8>;
  Words words() const {
    static_assert(std::is_trivially_copyable_v<Call>);
    Words result{};
    std::memcpy(result.data(), &call, sizeof call);
    return result;
  }

  static variable_list run_packed(const variable_list& grads,
                                  const std::vector<c10::IValue>& args) {
    PackedArgs packed(args);
    Words words;
    for (int64_t& word : words) word = packed.unpack<int64_t>();
    Call call;
    std::memcpy(&call, words.data(), sizeof call);
    const Needed needed = packed.unpack<Needed>();
    return backward(call, needed, grads[0], packed.unpack<variable_list>());
  }
#endif

  Call call;
  std::vector<SavedVariable> saved;
};

// A node in the kind of pointer that this version of torch holds nodes by.
template <class Node>
auto new_node(const Call& call, const variable_list& saved) {
  if constexpr (std::is_base_of_v<c10::intrusive_ptr_target, Node>)
    return c10::make_intrusive<Node>(call, saved);
  else  // deleteNode frees deep graphs without recursion
    return std::shared_ptr<Node>(new Node(call, saved), [](Node* node) { deleteNode(node); });
}

// y with its gradient recorded, for the edges of the tensors that it came from.
Tensor recorded(Tensor y, const Call& call, torch::autograd::edge_list edges,
                const variable_list& saved) {
  const auto node = new_node<Gradient>(call, saved);
  node->set_next_edges(std::move(edges));
  torch::autograd::set_history(y, node);
  return y;
}

}  // namespace
}  // namespace fastconv::torch_host
