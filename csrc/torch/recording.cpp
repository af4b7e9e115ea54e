// What the operators do where derivatives may be recorded: nothing, unless one is. Then the
// Functions of fastconv/core/autograd.py record it. Layer: torch host.
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/AutogradState.h>
#include <torch/csrc/autograd/forward_grad.h>
#include <torch/csrc/jit/python/pybind_utils.h>
#include <torch/library.h>

#include "operators.h"

namespace fastconv::torch_host {
namespace {

namespace py = pybind11;

PyObject* python_functions = nullptr;  // a dict

bool is_recorded(const c10::FunctionSchema& schema, const torch::jit::Stack& stack) {
  if (torch::autograd::ForwardADLevel::try_get_by_idx(0) &&
      c10::AutogradState::get_tls_state().get_fw_grad_mode())
    return true;
  if (!at::GradMode::is_enabled()) return false;
  const size_t count = schema.arguments().size();
  for (auto argument = stack.end() - count; argument != stack.end(); ++argument)
    if (argument->isTensor() && argument->toTensor().requires_grad()) return true;
  return false;
}

void call_python(const c10::FunctionSchema& schema, torch::jit::Stack* stack) {
  const py::gil_scoped_acquire gil;
  const std::string name = schema.name().substr(schema.name().find("::") + 2);
  const py::handle function = PyDict_GetItemString(python_functions, name.c_str());
  const size_t count = schema.arguments().size();
  py::tuple args(count);
  for (size_t i = 0; i < count; ++i) {
    py::object value = torch::jit::toPyObject((*stack)[stack->size() - count + i]);
    args[i] = PyList_Check(value.ptr()) ? py::tuple(value) : std::move(value);
  }
  torch::jit::drop(*stack, count);
  const py::object result = function(*args);
  const auto& returns = schema.returns();
  if (returns.size() == 1) {
    stack->push_back(torch::jit::toIValue(result, returns[0].type()));
    return;
  }
  const py::tuple results(result);
  for (size_t i = 0; i < returns.size(); ++i)
    stack->push_back(torch::jit::toIValue(results[i], returns[i].type()));
}

void record(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  if (is_recorded(op.schema(), *stack)) return call_python(op.schema(), stack);
  const at::AutoDispatchBelowAutograd below;
  op.redispatchBoxed(keys & c10::after_autograd_keyset, stack);
}

}  // namespace

void register_recording(PyObject* functions) {
  Py_INCREF(functions);  // for good
  python_functions = functions;
  auto& m = *new torch::Library(torch::Library::IMPL, "fastconv", c10::DispatchKey::Autograd,
                                __FILE__, __LINE__);
  PyObject *name, *function;
  for (Py_ssize_t at = 0; PyDict_Next(functions, &at, &name, &function);)
    m.impl(PyUnicode_AsUTF8(name), torch::CppFunction::makeFromBoxedFunction<&record>());
}

}  // namespace fastconv::torch_host
