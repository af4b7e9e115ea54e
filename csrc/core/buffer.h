// An address and a number of elements, as callers hand tensors over. Layer: core.
#pragma once

#include <cstdint>

namespace fastconv {

struct Buffer {
  uintptr_t at = 0;  // 0: not there, or not wanted
  int64_t count = 0;
};

}  // namespace fastconv
