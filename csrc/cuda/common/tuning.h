// What a launcher may use, beside the shape: choices of tests, and what the device has. Layer:
// cuda/common.
#pragma once

#include <cstdint>

namespace fastconv::cuda {

struct Tuning {
  int32_t wide_index = 0;  // not 0: 64-bit indices, also where 32 bits would do
  int32_t splits = 0;      // parts of a split sum; 0: chosen from the shape
  int32_t tensor_cores =
      0;             // compute capability, such as 80, whose tensor cores may be used; 0: none
  int32_t tf32 = 0;  // not 0: factors of float32 products may be rounded to TF32
};

// Tensor cores multiply float16 from sm_75 on, bfloat16 and TF32 from sm_80 on.
constexpr int32_t FIRST_TENSOR_CORES = 75, ALL_TENSOR_CORES = 80;

}  // namespace fastconv::cuda
