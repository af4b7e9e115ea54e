// Tensor cores and asynchronous copies, for nvcc and for the SIMT shim. Layer: cuda/common.
//
// A warp multiplies tiles: acc[16][16] += a[16][K] * b[K][16], sums in float32. `k_neighbours` says
// whether elements along k are neighbours in memory, or those across it; `step` is the distance of
// the others. How lanes hold a tile is nobody's business. float is rounded to TF32, to nearest.
#pragma once

#include <type_traits>

#include "elements.h"

namespace fastconv::cuda {

// K of a tile: 32 bytes of each row or column.
template <class T>
constexpr int TILE_DEPTH = 32 / sizeof(T);

}  // namespace fastconv::cuda

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <mma.h>

namespace fastconv::cuda {

template <class T>
struct TensorType;
template <>
struct TensorType<Half> {
  using Type = __half;
  using Stored = __half;
};
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
template <>
struct TensorType<BFloat16> {
  using Type = __nv_bfloat16;
  using Stored = __nv_bfloat16;
};
template <>
struct TensorType<float> {
  using Type = nvcuda::wmma::precision::tf32;
  using Stored = float;
};
#endif

// Whether the architecture that is compiled for has tensor cores for T: below sm_80 float16 alone.
template <class T>
constexpr bool tensor_cores_have() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  return std::is_same_v<T, Half>;
#else
  return sizeof(T) <= 4;
#endif
}

template <class Fragment, class T>
__device__ __forceinline__ void load_tile(Fragment& fragment, const T* from, int step) {
  nvcuda::wmma::load_matrix_sync(
      fragment, reinterpret_cast<const typename TensorType<T>::Stored*>(from), step);
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800  // below, mma.h has no TF32
  if constexpr (std::is_same_v<T, float>)
#pragma unroll
    for (int i = 0; i < fragment.num_elements; ++i)
      fragment.x[i] = nvcuda::wmma::__float_to_tf32(fragment.x[i]);
#endif
}

template <bool rows>
using TileOrder = std::conditional_t<rows, nvcuda::wmma::row_major, nvcuda::wmma::col_major>;

template <class T, bool k_neighbours>
struct TileA {
  nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, TILE_DEPTH<T>,
                         typename TensorType<T>::Type, TileOrder<k_neighbours>>
      fragment;
  __device__ __forceinline__ void load(const T* from, int step) { load_tile(fragment, from, step); }
};
template <class T, bool k_neighbours>
struct TileB {
  nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, TILE_DEPTH<T>,
                         typename TensorType<T>::Type, TileOrder<!k_neighbours>>
      fragment;
  __device__ __forceinline__ void load(const T* from, int step) { load_tile(fragment, from, step); }
};
template <class T>
struct TileSums {
  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, TILE_DEPTH<T>, float> fragment;
  __device__ __forceinline__ void clear() { nvcuda::wmma::fill_fragment(fragment, 0.0f); }
  template <class A, class B>
  __device__ __forceinline__ void add(const A& a, const B& b) {
    nvcuda::wmma::mma_sync(fragment, a.fragment, b.fragment, fragment);
  }
  // As to[row][column] or, BY_COLUMNS, as to[column][row].
  template <bool BY_COLUMNS>
  __device__ __forceinline__ void store(float* to, int step) const {
    nvcuda::wmma::store_matrix_sync(
        to, fragment, step, BY_COLUMNS ? nvcuda::wmma::mem_col_major : nvcuda::wmma::mem_row_major);
  }
};

// Starts a copy of 16 bytes to shared memory; zeros if !wanted, and `from` is not read then. Below
// sm_80 it is a plain copy.
__device__ __forceinline__ void copy_async(void* to, const void* from, bool wanted) {
#if __CUDA_ARCH__ >= 800
  const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from),
               "r"(wanted ? 16 : 0));
#else
  *static_cast<uint4*>(to) = wanted ? *static_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
#endif
}
// Ends a group of copies.
__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;");
#endif
}
// Waits until only the last LEFT groups of this thread may be under way.
template <int LEFT>
__device__ __forceinline__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

}  // namespace fastconv::cuda

#else

namespace fastconv::cuda {

template <class T>
constexpr bool tensor_cores_have() {
  return sizeof(T) <= 4;
}

// What a tensor core takes of an element: float loses 13 bits, to nearest, ties away from zero.
template <class T>
inline float tensor_element(const T* x) {
  if constexpr (std::is_same_v<T, float>) return bits_float((float_bits(*x) + 0x1000) & ~0x1fffu);
  return float(widen(*x));
}

// Lane l of the warp holds elements l, l + 32, ... of a tile's 16 * K; element e is (e / K, e % K).
template <class T>
constexpr int OF_LANE = 16 * TILE_DEPTH<T> / simt::WARP;

template <class T, bool k_neighbours>
struct TileA {
  float at[OF_LANE<T>];
  void load(const T* from, int step) {
    for (int i = 0; i < OF_LANE<T>; ++i) {
      const int e = simt::lane() + simt::WARP * i;
      const int across = e / TILE_DEPTH<T>, k = e % TILE_DEPTH<T>;
      const T* element = &from[k_neighbours ? across * step + k : k * step + across];
      at[i] = tensor_element(element);
    }
  }
};
template <class T, bool k_neighbours>
struct TileB : TileA<T, k_neighbours> {};

template <class T>
struct TileSums {
  static constexpr int RESULTS = 256 / simt::WARP, K = TILE_DEPTH<T>;
  float at[RESULTS];
  void clear() {
    for (float& sum : at) sum = 0;
  }
  template <class A, class B>
  void add(const A& a, const B& b, simt::Place place = simt::Place::here()) {
    struct Given {
      float* sums;
      const float *a, *b;
    } given{at, a.at, b.at};
    const auto multiply = [](void* const lanes[simt::WARP], const void*) {
      const auto of = [&](int e) { return static_cast<const Given*>(lanes[e % simt::WARP]); };
      for (int e = 0; e < 256; ++e)
        for (int k = 0; k < K; ++k) {
          const int ea = e / 16 * K + k, eb = e % 16 * K + k;
          of(e)->sums[e / simt::WARP] += of(ea)->a[ea / simt::WARP] * of(eb)->b[eb / simt::WARP];
        }
    };
    simt::warp_meeting(0xffffffffu, &given, multiply, nullptr, place);
  }
  template <bool BY_COLUMNS>
  void store(float* to, int step) const {
    for (int i = 0; i < RESULTS; ++i) {
      const int e = simt::lane() + simt::WARP * i, row = e / 16, column = e % 16;
      to[BY_COLUMNS ? column * step + row : row * step + column] = at[i];
    }
  }
};

inline void copy_async(void* to, const void* from, bool wanted) {
  simt::async_copy(to, from, 16, wanted);
}
inline void commit_copies() { simt::async_commit(); }
template <int LEFT>
inline void wait_for_copies() {
  simt::async_wait(LEFT);
}

}  // namespace fastconv::cuda

#endif
