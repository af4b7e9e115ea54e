// The short way of plain eager calls. A tiny convolution takes less time than a dozen lines of
// Python, so here one C call looks at the tensors (through DLPack: this library knows no torch),
// finds the plan of the call, and runs the kernel, inside a torch.autograd.Function if a gradient
// may be asked for. It returns None for a call that is not plain or that the kernels do not take;
// the general way (fastconv/functional.py) then decides.
//
// Three parties meet:
//   eager_setup    told once by fastconv/eager.py: torch's types and the functions to ask
//   eager_<op>     the call itself
//   function_<op>  forward of the Functions, called by torch with the plan that eager_<op> found
#include "eager.h"

#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "../shape.h"
#include "call_key.h"
#include "conv2d.h"
#include "dlpack.h"
#include "pool2d.h"

namespace py = pybind11;

namespace fastconv::bindings {
namespace {

enum Operator : int { CONV2D, MAX_POOL2D, AVG_POOL2D, ADAPTIVE_AVG_POOL2D, OPERATORS };

// Plans are small; beyond this number of kinds of calls all are forgotten.
constexpr size_t MAX_PLANS = 4096;

// All that a kind of call needs beyond its tensors' addresses.
struct Plan {
  int dtype;
  Conv2dShape conv;
  Pool2dShape pool;
  py::object y_prototype, codes_prototype;  // tensors without memory: sizes, strides and type
  py::object call;                          // for backward, see fastconv/autograd.py
};

struct Setup {
  std::vector<py::object> types, watchers;
  py::object grad_enabled, threads, empty_like, forward_ad;
  const dlpack::ExchangeApi* api = nullptr;
  // By operator: planner(*tensors, *arguments) -> plan or None; apply(*tensors, plan) -> y.
  std::vector<py::object> planners, applies;
};

// Leaked: Python objects must not be released after the interpreter is gone.
Setup& setup = *new Setup;
// The capsules of plans, or None for a call that is not for the kernels.
auto& plans = *new std::unordered_map<CallKey, py::object, CallKey::Hash>;

struct Names {
  PyObject* is_neg = PyUnicode_InternFromString("is_neg");
  PyObject* requires_grad = PyUnicode_InternFromString("requires_grad");
  PyObject* needs_input_grad = PyUnicode_InternFromString("needs_input_grad");
  PyObject* to_save = PyUnicode_InternFromString("to_save");
  PyObject* call = PyUnicode_InternFromString("call");
  PyObject* current_level = PyUnicode_InternFromString("_current_level");
};
const Names& names() {
  static const Names interned;
  return interned;
}

// A new reference as an object; a null one as the Python error that is set.
py::object owned(PyObject* result) {
  if (!result) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

bool truth(const py::object& value) { return PyObject_IsTrue(value.ptr()) == 1; }

// Whether a compiler, tracer, profiler, mode, transform or autocast would want to see the call.
bool watched() {
  for (const py::object& watcher : setup.watchers) {
    const py::object answer = owned(PyObject_CallNoArgs(watcher.ptr()));
    if (answer.ptr() != Py_None && truth(answer)) return true;
  }
  const py::object level = owned(PyObject_GetAttr(setup.forward_ad.ptr(), names().current_level));
  return PyLong_AsLong(level.ptr()) >= 0;
}

// A view of a tensor that is its memory alone: on the CPU, of a kernel's element type, not of a
// subclass, without pending negation. False if it is not.
bool plain_view(PyObject* object, dlpack::Tensor& view) {
  bool known = false;
  for (const py::object& type : setup.types)
    known |= reinterpret_cast<PyObject*>(Py_TYPE(object)) == type.ptr();
  if (!known) return false;
  if (setup.api->view_of_object(object, &view) != 0) {
    PyErr_Clear();
    return false;
  }
  const bool real = view.dtype.code == dlpack::FLOAT && view.dtype.lanes == 1 &&
                    (view.dtype.bits == 32 || view.dtype.bits == 64);
  if (!real || view.device.type != dlpack::CPU || !view.data) return false;
  return !truth(owned(PyObject_CallMethodNoArgs(object, names().is_neg)));
}

int64_t count(const dlpack::Tensor& t) {
  int64_t product = 1;
  for (int i = 0; i < t.ndim; ++i) product *= t.shape[i];
  return product;
}

struct Buffer {
  uintptr_t at = 0;
  int64_t size = 0;
};

Buffer buffer_of(const dlpack::Tensor& view) {
  return {reinterpret_cast<uintptr_t>(view.data + view.byte_offset), count(view)};
}

Buffer buffer_of(PyObject* tensor) {
  if (tensor == Py_None) return {};
  dlpack::Tensor view;
  if (setup.api->view_of_object(tensor, &view) != 0) throw py::error_already_set();
  return buffer_of(view);
}

py::object new_like(const py::object& prototype) {
  PyObject* argument = prototype.ptr();
  return owned(PyObject_Vectorcall(setup.empty_like.ptr(), &argument, 1, nullptr));
}

int thread_count() {
  const py::object threads = owned(PyObject_CallNoArgs(setup.threads.ptr()));
  return static_cast<int>(PyLong_AsLong(threads.ptr()));
}

py::object run_conv2d(const Plan& plan, Buffer from, Buffer filter, Buffer offset) {
  py::object y = new_like(plan.y_prototype);
  const Buffer to = buffer_of(y.ptr());
  conv2d_forward(plan.dtype, plan.conv, from.at, from.size, filter.at, filter.size, offset.at,
                 offset.size, to.at, to.size, thread_count(), "");
  return y;
}

py::object run_max_pool2d(const Plan& plan, Buffer from, Buffer places) {
  py::object y = new_like(plan.y_prototype);
  const Buffer to = buffer_of(y.ptr());
  max_pool2d_forward(plan.dtype, plan.pool, from.at, from.size, to.at, to.size, places.at,
                     places.size, thread_count());
  return y;
}

py::object run_average(const Plan& plan, Buffer from) {
  py::object y = new_like(plan.y_prototype);
  const Buffer to = buffer_of(y.ptr());
  avg_pool2d_forward(plan.dtype, plan.pool, from.at, from.size, to.at, to.size, thread_count());
  return y;
}

constexpr const char* PLAN = "fastconv.plan";

const Plan& plan_in(PyObject* capsule) {
  void* plan = PyCapsule_GetPointer(capsule, PLAN);
  if (!plan) throw py::error_already_set();
  return *static_cast<const Plan*>(plan);
}

// The capsule of a new plan from what a planner returned: None, or the fields of a Plan.
py::object make_plan(const py::object& planned) {
  if (planned.is_none()) return planned;
  const auto fields = planned.cast<py::tuple>();
  auto plan = std::make_unique<Plan>();
  if (py::isinstance<Conv2dShape>(fields[0]))
    plan->conv = fields[0].cast<Conv2dShape>();
  else
    plan->pool = fields[0].cast<Pool2dShape>();
  plan->dtype = fields[1].cast<int>();
  plan->y_prototype = fields[2];
  plan->codes_prototype = fields[3];
  plan->call = fields[4];
  py::object capsule = owned(PyCapsule_New(plan.get(), PLAN, [](PyObject* self) {
    delete static_cast<Plan*>(PyCapsule_GetPointer(self, PLAN));
  }));
  plan.release();
  return capsule;
}

py::object find_plan(Operator op, const CallKey& key, PyObject* const* args, Py_ssize_t n) {
  const auto found = plans.find(key);
  if (found != plans.end()) return found->second;
  py::object plan =
      make_plan(owned(PyObject_Vectorcall(setup.planners[op].ptr(), args, n, nullptr)));
  if (plans.size() >= MAX_PLANS) plans.clear();
  plans.emplace(key, plan);
  return plan;
}

// Tensors lead the arguments: x, w and bias (or None) of a convolution, x of a pool.
template <Operator OP>
py::object call(PyObject* const* args, Py_ssize_t n) {
  constexpr int TENSORS = OP == CONV2D ? 3 : 1;
  if (!setup.api || n < TENSORS || watched()) return py::none();
  CallKey key;
  key.add(OP);
  dlpack::Tensor views[TENSORS];
  Buffer buffers[TENSORS];
  for (int i = 0; i < TENSORS; ++i) {
    if (i == 2 && args[i] == Py_None) {
      key.add(-1);
      continue;
    }
    if (!plain_view(args[i], views[i]) || views[i].dtype.bits != views[0].dtype.bits ||
        views[i].ndim != (i == 2 ? 1 : 4))
      return py::none();
    key.add(views[i].dtype.bits);
    key.add(views[i]);
    buffers[i] = buffer_of(views[i]);
  }
  for (Py_ssize_t i = TENSORS; i < n; ++i) key.add_argument(args[i]);
  if (!key.valid()) return py::none();
  const py::object plan = find_plan(OP, key, args, n);
  if (plan.is_none()) return plan;

  bool tracked = false;
  for (int i = 0; i < TENSORS && !tracked; ++i)
    tracked = args[i] != Py_None && truth(owned(PyObject_GetAttr(args[i], names().requires_grad)));
  if (tracked && truth(owned(PyObject_CallNoArgs(setup.grad_enabled.ptr())))) {
    PyObject* inputs[TENSORS + 1];
    for (int i = 0; i < TENSORS; ++i) inputs[i] = args[i];
    inputs[TENSORS] = plan.ptr();
    return owned(PyObject_Vectorcall(setup.applies[OP].ptr(), inputs, TENSORS + 1, nullptr));
  }
  const Plan& found = plan_in(plan.ptr());
  if constexpr (OP == CONV2D) return run_conv2d(found, buffers[0], buffers[1], buffers[2]);
  if constexpr (OP == MAX_POOL2D) return run_max_pool2d(found, buffers[0], {});
  return run_average(found, buffers[0]);
}

// ---- forward(ctx, *tensors, plan) of the Functions -----------------------------------------------

// What ctx.save_for_backward does, without the Python frame.
void save_for_backward(PyObject* ctx, const py::tuple& tensors) {
  if (PyObject_SetAttr(ctx, names().to_save, tensors.ptr()) != 0) throw py::error_already_set();
}

void remember_call(PyObject* ctx, const Plan& plan) {
  if (PyObject_SetAttr(ctx, names().call, plan.call.ptr()) != 0) throw py::error_already_set();
}

py::object function_conv2d(PyObject* const* args, Py_ssize_t) {
  PyObject *ctx = args[0], *x = args[1], *w = args[2], *bias = args[3];
  const Plan& plan = plan_in(args[4]);
  const py::object needed = owned(PyObject_GetAttr(ctx, names().needs_input_grad));
  // Each gradient needs the other factor alone.
  PyObject* kept_x = PyTuple_GET_ITEM(needed.ptr(), 1) == Py_True ? x : Py_None;
  PyObject* kept_w = PyTuple_GET_ITEM(needed.ptr(), 0) == Py_True ? w : Py_None;
  save_for_backward(ctx, py::reinterpret_steal<py::tuple>(PyTuple_Pack(2, kept_x, kept_w)));
  remember_call(ctx, plan);
  return run_conv2d(plan, buffer_of(x), buffer_of(w), buffer_of(bias));
}

py::object function_max_pool2d(PyObject* const* args, Py_ssize_t) {
  const Plan& plan = plan_in(args[2]);
  const py::object codes = new_like(plan.codes_prototype);
  py::object y = run_max_pool2d(plan, buffer_of(args[1]), buffer_of(codes.ptr()));
  save_for_backward(args[0], py::reinterpret_steal<py::tuple>(PyTuple_Pack(1, codes.ptr())));
  remember_call(args[0], plan);
  return y;
}

py::object function_average(PyObject* const* args, Py_ssize_t) {
  const Plan& plan = plan_in(args[2]);
  remember_call(args[0], plan);
  return run_average(plan, buffer_of(args[1]));
}

// ---- registration as METH_FASTCALL, which costs half of what pybind11's own calls do -------------

using Body = py::object (*)(PyObject* const*, Py_ssize_t);

// ARGUMENTS: the exact number, or -1 for any.
template <Body body, int ARGUMENTS>
PyObject* fastcall(PyObject*, PyObject* const* args, Py_ssize_t n) {
  if (ARGUMENTS >= 0 && n != ARGUMENTS) {
    PyErr_Format(PyExc_TypeError, "expected %d arguments, got %zd", ARGUMENTS, n);
    return nullptr;
  }
  try {
    return body(args, n).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

template <Body body, int ARGUMENTS = -1>
PyMethodDef method(const char* name) {
  return {name,
          reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&fastcall<body, ARGUMENTS>)),
          METH_FASTCALL, nullptr};
}

PyMethodDef METHODS[] = {
    method<call<CONV2D>>("eager_conv2d"),
    method<call<MAX_POOL2D>>("eager_max_pool2d"),
    method<call<AVG_POOL2D>>("eager_avg_pool2d"),
    method<call<ADAPTIVE_AVG_POOL2D>>("eager_adaptive_avg_pool2d"),
    method<function_conv2d, 5>("function_conv2d"),
    method<function_max_pool2d, 3>("function_max_pool2d"),
    method<function_average, 3>("function_average"),
    {nullptr, nullptr, 0, nullptr},
};

// False if `exchange_api`, a DLPack capsule, is not of the version that is understood here.
bool set_up(const py::object& exchange_api, std::vector<py::object> types,
            std::vector<py::object> watchers, py::object grad_enabled, py::object threads,
            py::object empty_like, py::object forward_ad, std::vector<py::object> planners,
            std::vector<py::object> applies) {
  const auto* api = static_cast<const dlpack::ExchangeApi*>(
      PyCapsule_GetPointer(exchange_api.ptr(), "dlpack_exchange_api"));
  if (!api) throw py::error_already_set();
  if (api->version.major != dlpack::MAJOR_VERSION || !api->view_of_object) return false;
  if (planners.size() != OPERATORS || applies.size() != OPERATORS)
    throw std::invalid_argument("a planner and an apply for each operator");
  setup = {std::move(types),
           std::move(watchers),
           std::move(grad_enabled),
           std::move(threads),
           std::move(empty_like),
           std::move(forward_ad),
           api,
           std::move(planners),
           std::move(applies)};
  plans.clear();
  return true;
}

}  // namespace

void bind_eager(py::module_& m) {
  m.def("eager_setup", &set_up, py::arg("exchange_api"), py::arg("types"), py::arg("watchers"),
        py::arg("grad_enabled"), py::arg("threads"), py::arg("empty_like"), py::arg("forward_ad"),
        py::arg("planners"), py::arg("applies"));
  if (PyModule_AddFunctions(m.ptr(), METHODS) != 0) throw py::error_already_set();
}

}  // namespace fastconv::bindings
