// Element types: what a tensor's elements are stored as, and what sums of them run in. Layer: core.
//
// A type is added here, in FASTCONV_FOR_EACH_ELEMENT and Element, and in the places that
// CONTRIBUTING.md lists; whatever depends on a type and misses the new one does not compile.
#pragma once

#include <cstdint>

namespace fastconv {

enum class DType : int32_t { float32 = 0, float64 = 1 };

// DO(type): everything that is instantiated for every element type.
#define FASTCONV_FOR_EACH_ELEMENT(DO) \
  DO(float)                           \
  DO(double)

// Of a stored type: its DType, its name in Python, and the type of sums.
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

// Whether a number names a type; and f(T{}) with the stored type that it names.
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
  __builtin_unreachable();  // is_dtype was asked where the number entered
}

}  // namespace fastconv
