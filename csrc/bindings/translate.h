// Turns Python's arguments into those of the runtime, for every bound function. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>

#include "../core/buffer.h"
#include "../core/dtype.h"
#include "../runtime/buffers.h"
#include "../runtime/cpu.h"

namespace fastconv::bindings {

using runtime::Cpu;

inline cpu::Context cpu_context(int threads) {
  const cpu::Context context{threads};
  Cpu::check(context);
  return context;
}

// Below this many elementary steps a kernel takes less time than handing over the GIL.
constexpr int64_t GIL_KEPT_STEPS = 4096;

// Releases the GIL during a kernel of many steps. A backward pass may not hold the GIL.
class ReleaseGil {
 public:
  explicit ReleaseGil(int64_t steps) {
    if (steps >= GIL_KEPT_STEPS && PyGILState_Check()) released.emplace();
  }

 private:
  std::optional<pybind11::gil_scoped_release> released;
};

}  // namespace fastconv::bindings

// In Python a Buffer is (address, elements), or None for a tensor that does not exist.
template <>
struct pybind11::detail::type_caster<fastconv::Buffer> {
  PYBIND11_TYPE_CASTER(fastconv::Buffer, const_name("tuple[int, int] | None"));

  bool load(handle source, bool) {
    if (source.is_none()) return true;
    if (!PyTuple_Check(source.ptr()) || PyTuple_GET_SIZE(source.ptr()) != 2) return false;
    const size_t at = PyLong_AsSize_t(PyTuple_GET_ITEM(source.ptr(), 0));
    const long long count = PyLong_AsLongLong(PyTuple_GET_ITEM(source.ptr(), 1));
    if (PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
    value = {at, count};
    return true;
  }
};
