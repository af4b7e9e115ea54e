// The memory of a tensor as a caller passes it: address and number of elements. Layer: core.
#pragma once

#include <cstdint>

namespace fastconv {

struct Buffer {
  uintptr_t at = 0;  // 0: the tensor does not exist, or the result is not wanted
  int64_t count = 0;
};

}  // namespace fastconv
