// Turns Python's arguments into the runtime's, for every bound function. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>

#include "../core/dtype.h"
#include "../runtime/buffers.h"
#include "../runtime/cpu.h"
#include "buffer.h"

namespace fastconv::bindings {

using runtime::Cpu;

inline cpu::Context cpu_context(int threads) {
  const cpu::Context context{threads};
  Cpu::check(context);
  return context;
}

// A kernel of fewer elementary steps takes less time than releasing the GIL.
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
