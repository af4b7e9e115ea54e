// Choices that a launcher makes from the shape, and that tests make for it. Layer: cuda/common.
#pragma once

#include <cstdint>

namespace fastconv::cuda {

struct Tuning {
  int32_t wide_index = 0;    // not 0: 64-bit indices, also where 32 bits would do
  int32_t splits = 0;        // parts of a split sum; 0: chosen from the shape
  int32_t tensor_cores = 0;  // not 0: the device has them (sm_80 and later), and they may be used
};

}  // namespace fastconv::cuda
