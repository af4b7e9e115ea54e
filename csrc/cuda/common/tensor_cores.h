// Tensor cores and asynchronous copies, for nvcc (sm_80 and later) and for the SIMT shim. Layer:
// cuda/common.
//
// A warp multiplies tiles of 16 x 16: acc += a * b, a stored by rows, b by columns, both with `step`
// elements between their rows (columns), sums in float32. How lanes hold a tile is nobody's business.
#pragma once

#include "elements.h"

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <mma.h>

namespace fastconv::cuda {

template <class T>
struct TensorType;
template <>
struct TensorType<Half> {
  using Type = __half;
};
template <>
struct TensorType<BFloat16> {
  using Type = __nv_bfloat16;
};

template <class T>
struct TileA {
  nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, 16, typename TensorType<T>::Type,
                         nvcuda::wmma::row_major>
      fragment;
  __device__ __forceinline__ void load(const T* from, int step) {
    using Type = typename TensorType<T>::Type;
    nvcuda::wmma::load_matrix_sync(fragment, reinterpret_cast<const Type*>(from), step);
  }
};
template <class T>
struct TileB {
  nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, 16, typename TensorType<T>::Type,
                         nvcuda::wmma::col_major>
      fragment;
  __device__ __forceinline__ void load(const T* from, int step) {
    using Type = typename TensorType<T>::Type;
    nvcuda::wmma::load_matrix_sync(fragment, reinterpret_cast<const Type*>(from), step);
  }
};
struct TileSums {
  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float> fragment;
  __device__ __forceinline__ void clear() { nvcuda::wmma::fill_fragment(fragment, 0.0f); }
  template <class T>
  __device__ __forceinline__ void add(const TileA<T>& a, const TileB<T>& b) {
    nvcuda::wmma::mma_sync(fragment, a.fragment, b.fragment, fragment);
  }
  __device__ __forceinline__ void store(float* to, int step) const {
    nvcuda::wmma::store_matrix_sync(to, fragment, step, nvcuda::wmma::mem_row_major);
  }
};

// Starts a copy of 16 bytes to shared memory; zeros if !wanted, and `from` is not read then.
__device__ __forceinline__ void copy_async(void* to, const void* from, bool wanted) {
  const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from),
               "r"(wanted ? 16 : 0));
}
// Ends a group of copies.
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;"); }
// Waits until only the last LEFT groups of this thread may be under way.
template <int LEFT>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

}  // namespace fastconv::cuda

#else

namespace fastconv::cuda {

// Lane l of the warp holds elements l, l + 32, ... of a tile's 256.
constexpr int OF_LANE = 256 / simt::WARP;

template <class T>
struct TileA {
  float at[OF_LANE];
  void load(const T* from, int step) {
    for (int i = 0; i < OF_LANE; ++i) {
      const int e = simt::lane() + simt::WARP * i;
      at[i] = widen(from[e / 16 * step + e % 16]);
    }
  }
};
template <class T>
struct TileB : TileA<T> {};  // element e: column e / 16

struct TileSums {
  float at[OF_LANE];
  void clear() {
    for (float& sum : at) sum = 0;
  }
  template <class T>
  void add(const TileA<T>& a, const TileB<T>& b, simt::Place place = simt::Place::here()) {
    struct Given {
      float* sums;
      const float *a, *b;
    } given{at, a.at, b.at};
    const auto multiply = [](void* const lanes[simt::WARP], const void*) {
      const auto of = [&](int e) { return static_cast<const Given*>(lanes[e % simt::WARP]); };
      for (int e = 0; e < 256; ++e)
        for (int k = 0; k < 16; ++k) {
          const int ea = e / 16 * 16 + k, eb = e % 16 * 16 + k;
          of(e)->sums[e / simt::WARP] += of(ea)->a[ea / simt::WARP] * of(eb)->b[eb / simt::WARP];
        }
    };
    simt::warp_meeting(0xffffffffu, &given, multiply, nullptr, place);
  }
  void store(float* to, int step) const {
    for (int i = 0; i < OF_LANE; ++i) {
      const int e = simt::lane() + simt::WARP * i;
      to[e / 16 * step + e % 16] = at[i];
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
