// Element types: how elements are stored, and in which type they are summed. A new type is added to
// FASTCONV_FOR_EACH_ELEMENT and Element, and in the places that CONTRIBUTING.md lists. Code that
// depends on the type and misses the new one does not compile. Layer: core.
#pragma once

#include <cstdint>

#include "half.h"

namespace fastconv {

enum class DType : int32_t { float32 = 0, float64 = 1, float16 = 2, bfloat16 = 3 };

// Expands to DO(type) for every element type.
#define FASTCONV_FOR_EACH_ELEMENT(DO) \
  DO(float)                           \
  DO(double)                          \
  DO(Half)                            \
  DO(BFloat16)

// The same for the types of sums.
#define FASTCONV_FOR_EACH_SUM(DO) \
  DO(float)                       \
  DO(double)

// The traits of a stored type: its DType, its name in Python, and the type of its sums.
template <class T>
struct Element;
template <>
struct Element<float> {
  static constexpr DType DTYPE = DType::float32;
  static constexpr const char* NAME = "float32";
  using Sum = float;
};
template <>
struct Element<double> {
  static constexpr DType DTYPE = DType::float64;
  static constexpr const char* NAME = "float64";
  using Sum = double;
};
template <>
struct Element<Half> {
  static constexpr DType DTYPE = DType::float16;
  static constexpr const char* NAME = "float16";
  using Sum = float;
};
template <>
struct Element<BFloat16> {
  static constexpr DType DTYPE = DType::bfloat16;
  static constexpr const char* NAME = "bfloat16";
  using Sum = float;
};

// The type in which elements are computed and summed, in registers and in workspaces.
template <class T>
using SumOf = typename Element<T>::Sum;
// Whether it is wider than the stored type: loads widen, and stores round.
template <class T>
constexpr bool IS_WIDENED = sizeof(SumOf<T>) > sizeof(T);

// is_dtype returns whether a number names a type. with_element calls f(T{}) with the stored type.
constexpr bool is_dtype(int32_t number) {
#define FASTCONV_IS(T) \
  if (number == static_cast<int32_t>(Element<T>::DTYPE)) return true;
  FASTCONV_FOR_EACH_ELEMENT(FASTCONV_IS)
#undef FASTCONV_IS
  return false;
}
template <class F>
auto with_element(DType dtype, const F& f) {
#define FASTCONV_CALL(T) \
  if (dtype == Element<T>::DTYPE) return f(T{});
  FASTCONV_FOR_EACH_ELEMENT(FASTCONV_CALL)
#undef FASTCONV_CALL
  __builtin_unreachable();  // the bindings have checked the number with is_dtype
}

}  // namespace fastconv
