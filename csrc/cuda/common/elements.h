// Element types of CUDA kernels: how elements are stored, and in which type they are summed.
// Layer: cuda/common.
#pragma once

#include "compat.h"
#include "dtype.h"

namespace fastconv::cuda {

struct Half {
  uint16_t bits;
  FC_CHECKED_COPIES(Half, bits)
};
struct BFloat16 {
  uint16_t bits;
  FC_CHECKED_COPIES(BFloat16, bits)
};
static_assert(sizeof(Half) == 2 && sizeof(BFloat16) == 2, "as torch stores them");

template <class T>
struct Element {
  using Sum = T;
};
template <>
struct Element<Half> {
  using Sum = float;
};
template <>
struct Element<BFloat16> {
  using Sum = float;
};
template <class T>
using SumOf = typename Element<T>::Sum;

// widen: the stored value in the type of sums. narrow: a sum as it is stored, rounded once.
__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(Half x) { return half_to_float(x.bits); }
__device__ __forceinline__ float widen(BFloat16 x) { return bits_float(uint32_t(x.bits) << 16); }

template <class T>
__device__ __forceinline__ T narrow(SumOf<T> x) {
  return x;
}
template <>
__device__ __forceinline__ Half narrow<Half>(float x) {
  return {float_to_half(x)};
}
template <>
__device__ __forceinline__ BFloat16 narrow<BFloat16>(float x) {
  const uint32_t bits = float_bits(x);  // to nearest, ties to even; a NaN stays one
  if ((bits & 0x7fffffff) > 0x7f800000) return {uint16_t(bits >> 16 | 0x40)};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// Instantiates launchers for the element types; a build for tests may name one type alone.
#if defined(FASTCONV_CUDA_TYPE)
#define FC_FOR_EACH_TYPE(INSTANTIATE) FC_EXPAND(INSTANTIATE, FASTCONV_CUDA_TYPE)
#define FC_EXPAND(INSTANTIATE, T) INSTANTIATE(T)
#else
#define FC_FOR_EACH_TYPE(INSTANTIATE) \
  INSTANTIATE(float) INSTANTIATE(double) INSTANTIATE(Half) INSTANTIATE(BFloat16)
#endif

// V elements that are loaded or stored by one access of a thread.
template <class T, int V>
struct alignas(sizeof(T) * V) Vector {
  T at[V];
};

// COUNT sums that are neighbours in memory, by accesses of 16 bytes.
template <class Sum, int COUNT>
__device__ __forceinline__ void load_vectors(const Sum* from, Sum (&to)[COUNT]) {
  constexpr int V = 16 / sizeof(Sum);
#pragma unroll
  for (int i = 0; i < COUNT; i += V) {
    Vector<Sum, V> values;
    copy_vector(&values, reinterpret_cast<const Vector<Sum, V>*>(from + i));
#pragma unroll
    for (int v = 0; v < V; ++v) to[i + v] = values.at[v];
  }
}
template <class Sum, int COUNT>
__device__ __forceinline__ void store_vectors(const Sum (&from)[COUNT], Sum* to) {
  constexpr int V = 16 / sizeof(Sum);
#pragma unroll
  for (int i = 0; i < COUNT; i += V) {
    Vector<Sum, V> values;
#pragma unroll
    for (int v = 0; v < V; ++v) values.at[v] = from[i + v];
    copy_vector(reinterpret_cast<Vector<Sum, V>*>(to + i), &values);
  }
}

// Calls f(T{}) with the stored type, or returns cudaErrorInvalidValue.
template <class F>
cudaError_t with_element(int32_t dtype, const F& f) {
  switch (static_cast<DType>(dtype)) {
    case DType::float32:
      return f(float{});
    case DType::float64:
      return f(double{});
    case DType::float16:
      return f(Half{});
    case DType::bfloat16:
      return f(BFloat16{});
  }
  return cudaErrorInvalidValue;
}

}  // namespace fastconv::cuda
