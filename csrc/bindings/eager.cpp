// The short way of plain eager calls. A tiny convolution takes less time than a dozen lines of
// Python, so here one C call looks at the tensors, finds the plan of the call, and has it run, with
// a gradient if one may be asked for. It returns None for a call that is not plain or that the
// kernels do not take; the general way (fastconv/functional.py) then decides. What it must ask of
// torch, it asks the host (host.h).
#include "eager.h"

#include <pybind11/stl.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "call_key.h"
#include "translate.h"

namespace py = pybind11;

namespace fastconv::bindings {
namespace {

// Plans are small; beyond this number of kinds of calls the least recently used is forgotten.
constexpr size_t MAX_PLANS = 4096;

struct Table {
  std::vector<py::object> planners;  // by row: planner(*tensors, *arguments) -> plan or None
  // The capsules of plans, or None for a call that is not for the kernels.
  runtime::Recent<CallKey, py::object, CallKey::Hash> plans;
};

// While a Lock is held, no Python code runs and no Python object is released, because both may give the
// GIL to another thread, which would find the table half changed. So the GIL serves as the lock where
// there is one. A mutex would cost 40 of 2,000 ns.
#ifdef Py_GIL_DISABLED
using Mutex = std::mutex;
#else
struct Mutex {
  void lock() {}
  void unlock() {}
};
#endif
using Lock = std::lock_guard<Mutex>;

struct Setup {
  std::atomic<Host*> host{nullptr};  // hosts are never destroyed
  Mutex lock;
  Table table;
};

// Leaked: Python objects must not be released after the interpreter is gone.
Setup& setup = *new Setup;

// The capsule of a new plan from what a planner returned: None, or (shape, dtype, ceil_mode,
// extras).
py::object make_plan(Kernel kernel, int32_t op, const py::object& planned) {
  if (planned.is_none()) return planned;
  const auto fields = planned.cast<py::tuple>();
  auto plan = std::make_unique<Plan>();
  plan->call.kernel = kernel;
  plan->call.op = op;
  if (kernel == CONV2D)
    plan->call.conv = fields[0].cast<Conv2dShape>();
  else
    plan->call.pool = fields[0].cast<Pool2dShape>();
  plan->call.dtype = runtime::checked_dtype(fields[1].cast<int>());
  plan->call.ceil_mode = fields[2].cast<bool>();
  py::object extras = fields[3];
  plan->extras = extras.ptr();
  py::object capsule = owned(PyCapsule_New(plan.get(), PLAN_CAPSULE, [](PyObject* self) {
    auto* kept = static_cast<Plan*>(PyCapsule_GetPointer(self, PLAN_CAPSULE));
    Py_DECREF(kept->extras);
    delete kept;
  }));
  plan.release();  // the capsule's, with its extras
  extras.release();
  return capsule;
}

py::object find_plan(Kernel kernel, int32_t op, const CallKey& key, PyObject* const* args,
                     Py_ssize_t n) {
  py::object planner;
  {
    const Lock lock(setup.lock);
    if (const py::object* known = setup.table.plans.find(key)) return *known;
    planner = setup.table.planners.at(op);
  }
  // While the planner runs, another thread may plan the same call or replace the planners.
  py::object plan =
      make_plan(kernel, op, owned(PyObject_Vectorcall(planner.ptr(), args, n, nullptr)));
  py::object oldest;  // released after the lock
  const Lock lock(setup.lock);
  Table& table = setup.table;
  if (!table.planners.at(op).is(planner) || table.plans.find(key)) return plan;
  if (table.plans.size() >= MAX_PLANS) oldest = table.plans.take_oldest();
  table.plans.add(key, plan);
  return plan;
}

template <Kernel KERNEL>
py::object call(int32_t op, PyObject* const* args, Py_ssize_t n) {
  constexpr int TENSORS = tensors_of(KERNEL);
  Host* host = setup.host.load(std::memory_order_acquire);
  if (!host || n < TENSORS || host->watched()) return py::none();
  CallKey key;
  key.add(op * KERNELS + KERNEL);
  View views[MAX_TENSORS] = {};
  for (int i = 0; i < TENSORS; ++i) {
    if (i == 2 && args[i] == Py_None) {
      key.add(-1);
      continue;
    }
    if (!host->view(args[i], views[i]) || views[i].dtype != views[0].dtype ||
        views[i].ndim != (i == 2 ? 1 : 4))
      return py::none();
    key.add(views[i]);
  }
  for (Py_ssize_t i = TENSORS; i < n; ++i) key.add_argument(args[i]);
  if (!key.valid()) return py::none();
  const py::object plan = find_plan(KERNEL, op, key, args, n);
  if (plan.is_none()) return plan;
  return owned(host->run(plan_in(plan.ptr()), plan.ptr(), args, views));
}

// The plain calls of each kernel, as functions whose `self` is the row of their operator.
template <Kernel KERNEL>
PyObject* row_call(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  return translated([&] { return call<KERNEL>(PyLong_AsLong(self), args, n); });
}
template <size_t... KERNEL>
std::array<PyMethodDef, KERNELS> row_calls(std::index_sequence<KERNEL...>) {
  return {fast_method(KERNEL_NAMES[KERNEL], &row_call<static_cast<Kernel>(KERNEL)>)...};
}
std::array<PyMethodDef, KERNELS> METHODS = row_calls(std::make_index_sequence<KERNELS>());

// The function of the plain calls of an operator that runs `kernel`. `op` is its row in the tables
// that eager_use and the hosts are given.
py::object plain_call(const std::string& kernel, int32_t op) {
  for (PyMethodDef& method : METHODS)
    if (kernel == method.ml_name) return owned(PyCFunction_New(&method, py::int_(op).ptr()));
  throw std::invalid_argument("plain calls have no kernel " + kernel);
}

// `host`: a capsule, which stays; None: every call is declined. `planners`: by row.
void use_host(const py::object& host, std::vector<py::object> planners) {
  Host* given = nullptr;
  if (!host.is_none()) {
    given = static_cast<Host*>(PyCapsule_GetPointer(host.ptr(), HOST_CAPSULE));
    if (!given) throw py::error_already_set();
    host.inc_ref();
  }
  Table table{std::move(planners), {}};
  {
    const Lock lock(setup.lock);
    std::swap(setup.table, table);
    setup.host.store(given, std::memory_order_release);
  }
  // The former plans and planners are released here.
}

}  // namespace

const Plan& plan_in(PyObject* capsule) {
  void* plan = PyCapsule_GetPointer(capsule, PLAN_CAPSULE);
  if (!plan) throw py::error_already_set();
  return *static_cast<const Plan*>(plan);
}

void bind_eager(py::module_& m) {
  m.def("eager_use", &use_host, py::arg("host"), py::arg("planners"));
  m.def("eager_call", &plain_call, py::arg("kernel"), py::arg("op"));
  m.attr("eager_interface") = ENTRY_POINTS_CAPSULE;
  m.attr("eager_kernels") = owned(
      PyCapsule_New(const_cast<EntryPoints*>(&entry_points()), ENTRY_POINTS_CAPSULE, nullptr));
}

}  // namespace fastconv::bindings
