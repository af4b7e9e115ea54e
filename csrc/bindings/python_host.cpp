// The host of eager.cpp that needs nothing of torch at build time: tensors are read through DLPack,
// torch's functions are called as Python objects, and gradients come from old-style
// torch.autograd.Functions whose `forward` is compiled (function_<kernel> here). The library of
// csrc/torch/ replaces it where it was built.
#include <pybind11/stl.h>

#include <atomic>
#include <optional>
#include <vector>

#include "dlpack.h"
#include "eager.h"

namespace py = pybind11;

namespace fastconv::bindings {
namespace {

struct Torch {
  std::vector<py::object> types, watchers;
  py::object grad_enabled, threads, empty_like, forward_ad;
  const dlpack::ExchangeApi* api = nullptr;
  std::vector<py::object> applies;  // by row: apply(*tensors, plan) -> y
};

// A Torch is never changed or freed: a call may still use it when another takes its place, and Python
// objects must not be released after the interpreter is gone.
std::atomic<const Torch*> current{nullptr};
const Torch& torch() { return *current.load(std::memory_order_acquire); }

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

// What extras of a plan hold.
enum Extra { Y_PROTOTYPE, CODES_PROTOTYPE, CALL, INDICES_PROTOTYPE };
PyObject* extra(const Plan& plan, Extra which) { return PyTuple_GET_ITEM(plan.extras, which); }

Buffer buffer_of(const dlpack::Tensor& view) {
  int64_t count = 1;
  for (int i = 0; i < view.ndim; ++i) count *= view.shape[i];
  return {reinterpret_cast<uintptr_t>(view.data + view.byte_offset), count};
}

Buffer buffer_of(PyObject* tensor) {
  if (tensor == Py_None) return {};
  dlpack::Tensor view;
  if (torch().api->view_of_object(tensor, &view) != 0) throw py::error_already_set();
  return buffer_of(view);
}

// A tensor like `prototype`, one without memory.
py::object new_like(PyObject* prototype) {
  return owned(PyObject_Vectorcall(torch().empty_like.ptr(), &prototype, 1, nullptr));
}

int thread_count() {
  const py::object threads = owned(PyObject_CallNoArgs(torch().threads.ptr()));
  return static_cast<int>(PyLong_AsLong(threads.ptr()));
}

py::object run_conv2d(const Plan& plan, Buffer x, Buffer w, Buffer bias, bool cache_filters) {
  py::object y = new_like(extra(plan, Y_PROTOTYPE));
  entry_points().conv2d(plan.call, x, w, {bias, {}}, buffer_of(y.ptr()), thread_count(),
                        cache_filters);
  return y;
}

py::object run_max_pool2d(const Plan& plan, Buffer x, Buffer codes) {
  py::object y = new_like(extra(plan, Y_PROTOTYPE));
  entry_points().max_pool2d(plan.call, x, buffer_of(y.ptr()), codes, thread_count());
  return y;
}

// (y, indices), without a gradient
PyObject* with_indices(const Plan& plan, Buffer x) {
  const py::object codes = new_like(extra(plan, CODES_PROTOTYPE));
  const py::object indices = new_like(extra(plan, INDICES_PROTOTYPE));
  const Buffer places = buffer_of(codes.ptr());
  const py::object y = run_max_pool2d(plan, x, places);
  entry_points().max_pool2d_indices(plan.call, places, buffer_of(indices.ptr()), thread_count());
  return PyTuple_Pack(2, y.ptr(), indices.ptr());
}

py::object run_average(const Plan& plan, Buffer x) {
  py::object y = new_like(extra(plan, Y_PROTOTYPE));
  entry_points().avg_pool2d(plan.call, x, buffer_of(y.ptr()), thread_count());
  return y;
}

// The element type of a view, if there are kernels for it.
std::optional<DType> dtype_of(const dlpack::Tensor& t) {
  if (t.dtype.lanes != 1) return std::nullopt;
  if (t.dtype.code == dlpack::BFLOAT && t.dtype.bits == 16) return DType::bfloat16;
  if (t.dtype.code != dlpack::FLOAT) return std::nullopt;
  switch (t.dtype.bits) {
    case 16:
      return DType::float16;
    case 32:
      return DType::float32;
    case 64:
      return DType::float64;
    default:
      return std::nullopt;
  }
}

class PythonHost final : public Host {
 public:
  bool watched() override {
    for (const py::object& watcher : torch().watchers) {
      const py::object answer = owned(PyObject_CallNoArgs(watcher.ptr()));
      if (answer.ptr() != Py_None && truth(answer)) return true;
    }
    const py::object level =
        owned(PyObject_GetAttr(torch().forward_ad.ptr(), names().current_level));
    return PyLong_AsLong(level.ptr()) >= 0;
  }

  bool view(PyObject* object, View& view) override {
    bool known = false;
    for (const py::object& type : torch().types)
      known |= reinterpret_cast<PyObject*>(Py_TYPE(object)) == type.ptr();
    if (!known) return false;
    dlpack::Tensor t;
    if (torch().api->view_of_object(object, &t) != 0) {
      PyErr_Clear();
      return false;
    }
    const std::optional<DType> dtype = dtype_of(t);
    if (!dtype || t.device.type != dlpack::CPU || !t.data) return false;
    view = {buffer_of(t), *dtype, t.ndim, t.shape, t.strides};
    return !truth(owned(PyObject_CallMethodNoArgs(object, names().is_neg)));
  }

  PyObject* run(const Plan& plan, PyObject* capsule, PyObject* const* tensors,
                const View* views) override {
    const int count = tensors_of(plan.call.kernel);
    bool tracked = false;
    for (int i = 0; i < count && !tracked; ++i)
      tracked = tensors[i] != Py_None &&
                truth(owned(PyObject_GetAttr(tensors[i], names().requires_grad)));
    if (tracked && truth(owned(PyObject_CallNoArgs(torch().grad_enabled.ptr())))) {
      if (plan.call.kernel == MAX_POOL2D_INDICES) return Py_NewRef(Py_None);  // the general way
      PyObject* inputs[MAX_TENSORS + 1];
      for (int i = 0; i < count; ++i) inputs[i] = tensors[i];
      inputs[count] = capsule;
      return PyObject_Vectorcall(torch().applies.at(plan.call.op).ptr(), inputs, count + 1,
                                 nullptr);
    }
    if (plan.call.kernel == MAX_POOL2D_INDICES) return with_indices(plan, views[0].buffer);
    py::object y;
    if (plan.call.kernel == CONV2D)
      y = run_conv2d(plan, views[0].buffer, views[1].buffer, views[2].buffer, true);
    else if (plan.call.kernel == MAX_POOL2D)
      y = run_max_pool2d(plan, views[0].buffer, {});
    else
      y = run_average(plan, views[0].buffer);
    return y.release().ptr();
  }
};

// ---- forward(ctx, *tensors, plan) of the Functions -----------------------------------------------

// What ctx.save_for_backward does, without the Python frame; and what backward has to know.
void save(PyObject* ctx, const py::tuple& tensors, const Plan& plan) {
  if (PyObject_SetAttr(ctx, names().to_save, tensors.ptr()) != 0 ||
      PyObject_SetAttr(ctx, names().call, extra(plan, CALL)) != 0)
    throw py::error_already_set();
}

py::object function_conv2d(PyObject* const* args, Py_ssize_t) {
  PyObject *ctx = args[0], *x = args[1], *w = args[2], *bias = args[3];
  const Plan& plan = plan_in(args[4]);
  const py::object needed = owned(PyObject_GetAttr(ctx, names().needs_input_grad));
  // Each gradient needs the other factor alone.
  PyObject* kept_x = PyTuple_GET_ITEM(needed.ptr(), 1) == Py_True ? x : Py_None;
  PyObject* kept_w = PyTuple_GET_ITEM(needed.ptr(), 0) == Py_True ? w : Py_None;
  save(ctx, py::reinterpret_steal<py::tuple>(PyTuple_Pack(2, kept_x, kept_w)), plan);
  return run_conv2d(plan, buffer_of(x), buffer_of(w), buffer_of(bias), false);
}

py::object function_max_pool2d(PyObject* const* args, Py_ssize_t) {
  const Plan& plan = plan_in(args[2]);
  const py::object codes = new_like(extra(plan, CODES_PROTOTYPE));
  py::object y = run_max_pool2d(plan, buffer_of(args[1]), buffer_of(codes.ptr()));
  save(args[0], py::reinterpret_steal<py::tuple>(PyTuple_Pack(1, codes.ptr())), plan);
  return y;
}

py::object function_avg_pool2d(PyObject* const* args, Py_ssize_t) {
  const Plan& plan = plan_in(args[2]);
  save(args[0], py::tuple(), plan);
  return run_average(plan, buffer_of(args[1]));
}

PyMethodDef METHODS[] = {
    fast_method<function_conv2d, 5>("function_conv2d"),
    fast_method<function_max_pool2d, 3>("function_max_pool2d"),
    fast_method<function_avg_pool2d, 3>("function_avg_pool2d"),
    {nullptr, nullptr, 0, nullptr},
};

// The host as a capsule; None if `exchange_api`, a DLPack capsule, is not of the version that is
// understood here.
py::object make_host(const py::object& exchange_api, std::vector<py::object> types,
                     std::vector<py::object> watchers, py::object grad_enabled, py::object threads,
                     py::object empty_like, py::object forward_ad,
                     std::vector<py::object> applies) {
  const auto* api = static_cast<const dlpack::ExchangeApi*>(
      PyCapsule_GetPointer(exchange_api.ptr(), "dlpack_exchange_api"));
  if (!api) throw py::error_already_set();
  if (api->version.major != dlpack::MAJOR_VERSION || !api->view_of_object) return py::none();
  current.store(
      new Torch{std::move(types), std::move(watchers), std::move(grad_enabled), std::move(threads),
                std::move(empty_like), std::move(forward_ad), api, std::move(applies)},
      std::memory_order_release);
  static PythonHost host;
  return owned(PyCapsule_New(static_cast<Host*>(&host), HOST_CAPSULE, nullptr));
}

}  // namespace

void bind_python_host(py::module_& m) {
  names();  // made now, because no other thread uses the module yet
  m.def("python_host", &make_host, py::arg("exchange_api"), py::arg("types"), py::arg("watchers"),
        py::arg("grad_enabled"), py::arg("threads"), py::arg("empty_like"), py::arg("forward_ad"),
        py::arg("applies"));
  if (PyModule_AddFunctions(m.ptr(), METHODS) != 0) throw py::error_already_set();
}

}  // namespace fastconv::bindings
