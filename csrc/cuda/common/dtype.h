// The numbers of element types, and torch's names of them. Layer: cuda/common.
#pragma once

#include <cstdint>

namespace fastconv::cuda {

enum class DType : int32_t { float32 = 0, float64 = 1, float16 = 2, bfloat16 = 3 };

struct NamedDType {
  const char* name;
  DType type;
};
constexpr NamedDType DTYPE_NAMES[] = {{"float32", DType::float32},
                                      {"float64", DType::float64},
                                      {"float16", DType::float16},
                                      {"bfloat16", DType::bfloat16}};

}  // namespace fastconv::cuda
