// One source, two compilers: what kernels need of CUDA, for nvcc, and for g++ with the SIMT shim
// (../simt/simt.h), which executes them on the CPU. Layer: cuda/common.
//
// nvcc sees CUDA's own functions. g++ sees the shim's, which check every access.
#pragma once

#include <cstdint>

#ifdef __CUDACC__

#include <cuda_fp16.h>
#include <cuda_runtime.h>

// An array of dims in shared memory, aligned to 128 bytes: FC_SHARED(float, tile, [8][33]).
#define FC_SHARED(T, name, dims) __shared__ __align__(128) T name dims
// The first statement of a kernel: the threads that it is compiled for, as in __launch_bounds__.
#define FC_BLOCK(threads) static_assert((threads) <= 1024, "a block has at most 1024 threads")
// Within a struct of one member: g++ calls no hook for a struct that is passed or returned, so on the
// shim such a struct copies its member itself.
#define FC_CHECKED_COPIES(Type, member)

namespace fastconv::cuda {

// Copies sizeof(V) bytes between memory and registers as one access; V is aligned to its size.
template <class V>
__device__ __forceinline__ void copy_vector(V* to, const V* from) {
  *to = *from;
}

template <class T>
__device__ __forceinline__ T shuffle_down(T value, int lanes) {
  return __shfl_down_sync(0xffffffffu, value, lanes);
}

__device__ __forceinline__ float half_to_float(uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}
__device__ __forceinline__ uint16_t float_to_half(float value) {
  return __half_as_ushort(__float2half_rn(value));
}
__device__ __forceinline__ uint32_t float_bits(float value) { return __float_as_uint(value); }
__device__ __forceinline__ float bits_float(uint32_t bits) { return __uint_as_float(bits); }
__device__ __forceinline__ uint64_t multiply_high(uint64_t a, uint64_t b) {
  return __umul64hi(a, b);
}

// Queues a kernel on a stream. Grids have one axis: the others end at 65,535 blocks.
template <class... P, class... A>
cudaError_t launch(const char*, void (*kernel)(P...), int64_t blocks, int threads,
                   cudaStream_t stream, A... arguments) {
  if (blocks > INT32_MAX) return cudaErrorInvalidConfiguration;
  kernel<<<dim3(unsigned(blocks)), dim3(unsigned(threads)), 0, stream>>>(arguments...);
  return cudaGetLastError();
}

}  // namespace fastconv::cuda

#else

#include <cstring>

#include "../simt/simt.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::simt::thread_index())
#define blockIdx (::simt::block_index())
#define blockDim (::simt::block_extents())
#define gridDim (::simt::grid_extents())
#define __syncthreads() ::simt::barrier(::simt::Place::here())
#define FC_SHARED(T, name, dims) \
  using name##_array = T dims;   \
  name##_array& name = ::simt::shared<name##_array, T>(#name, ::simt::Place::here())
#define FC_BLOCK(threads) ::simt::expect_block((threads), ::simt::Place::here())
#define FC_CHECKED_COPIES(Type, member)             \
  Type() = default;                                 \
  Type(decltype(member) value) : member(value) {}   \
  Type(const Type& other) : member(other.member) {} \
  Type& operator=(const Type& other) {              \
    member = other.member;                          \
    return *this;                                   \
  }

using dim3 = simt::Dim;
using cudaStream_t = void*;
using cudaError_t = int;
constexpr cudaError_t cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorInvalidConfiguration = 9;

inline const char* cudaGetErrorString(cudaError_t error) {
  return error ? "a kernel failed on the SIMT shim" : "no error";
}

namespace fastconv::cuda {

template <class V>
inline void copy_vector(V* to, const V* from) {
  static_assert(sizeof(V) <= 16 && alignof(V) == sizeof(V), "one access of a thread");
  simt::copy(to, from, sizeof(V));
}

template <class T>
inline T shuffle_down(T value, int lanes, simt::Place place = simt::Place::here()) {
  const int from = simt::lane() + lanes;
  return simt::shuffle(0xffffffffu, value, from < simt::WARP ? from : simt::lane(), place);
}

inline uint32_t float_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float bits_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline float half_to_float(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, rest = h & 0x7fff;
  if (rest >= 0x7c00) return bits_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest < 0x400) return bits_float(sign | float_bits(float(rest) * 0x1p-24f));
  return bits_float(sign | ((rest << 13) + (112u << 23)));
}
// To nearest, ties to even.
inline uint16_t float_to_half(float value) {
  const uint32_t bits = float_bits(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return uint16_t(sign | 0x7e00);
  if (rest >= 0x477ff000) return uint16_t(sign | 0x7c00);
  if (rest < 0x38800000)  // subnormal: adding 0.5 leaves the multiple of 2^-24 in the low bits
    return uint16_t(sign | (float_bits(bits_float(rest) + 0.5f) - 0x3f000000));
  return uint16_t(sign | ((rest - (112u << 23) + 0xfff + (rest >> 13 & 1)) >> 13));
}
inline uint64_t multiply_high(uint64_t a, uint64_t b) {
  return uint64_t(static_cast<unsigned __int128>(a) * b >> 64);
}

template <class... P, class... A>
cudaError_t launch(const char* name, void (*kernel)(P...), int64_t blocks, int threads,
                   cudaStream_t, A... arguments) {
  if (blocks > INT32_MAX) return cudaErrorInvalidConfiguration;
  return simt::launch(name, dim3(unsigned(blocks)), dim3(unsigned(threads)),
                      [&] { kernel(arguments...); });
}

}  // namespace fastconv::cuda

#endif
