// The memory of a tensor as a caller passes it: address and number of elements. Layer: core.
#pragma once

#include <cstdint>
#include <limits>

namespace fastconv {

struct Buffer {
  uintptr_t at = 0;  // 0: the tensor does not exist, or the result is not wanted
  int64_t count = 0;
};

// An epilogue (conv2d.h) as a caller passes it. addend has the layout of y.
struct EpilogueBuffers {
  Buffer bias, addend;
  double lowest = -std::numeric_limits<double>::infinity();
  double highest = std::numeric_limits<double>::infinity();
};

}  // namespace fastconv
