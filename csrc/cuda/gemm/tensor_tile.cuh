// The product of tiles in shared memory on tensor cores. Layer: cuda/gemm.
//
// A block of 4 warps owns 64 x 64 results, a warp 32 x 32 as 2 x 2 tiles of 16 x 16. A step is 64
// bytes along k. Copies of the next step run while one step is multiplied. Shared memory: two steps of
// both operands, 20 KiB, and 17 KiB of sums, from which neighbouring threads store neighbours.
#pragma once

#include "../common/tensor_cores.h"

namespace fastconv::cuda {

constexpr int TENSOR_THREADS = 128, TENSOR_TILE = 64, WARP_TILE = 32;
constexpr int SUMS_PITCH = TENSOR_TILE + 4;
// Blocks that a multiprocessor holds at least, as the shared memory of sm_90 allows: 128 registers.
// Without a number ptxas aims at 80 there, and spills.
constexpr int TENSOR_BLOCKS = 4;

// Elements of a 16-byte copy, and of a step along k.
template <class T>
constexpr int COPY = 16 / sizeof(T);
template <class T>
constexpr int STEP = 64 / sizeof(T);

// An operand in shared memory: [across][k] if elements along k are neighbours, else [k][across].
// Rows are padded by 16 bytes, which puts 8 rows of a fragment into different banks.
template <class T, bool k_neighbours>
struct Operand {
  static constexpr int ROWS = k_neighbours ? TENSOR_TILE : STEP<T>;
  static constexpr int PITCH = (k_neighbours ? STEP<T> : TENSOR_TILE) + COPY<T>;
  static constexpr int VECTORS = (PITCH - COPY<T>) / COPY<T>;     // of a row
  static constexpr int COPIES = ROWS * VECTORS / TENSOR_THREADS;  // of a thread
  static_assert(COPIES * TENSOR_THREADS == ROWS * VECTORS, "copies cover an operand exactly");

  // Row and first element of a thread's copy i.
  static __device__ __forceinline__ int row(int thread, int i) {
    return (thread + i * TENSOR_THREADS) / VECTORS;
  }
  static __device__ __forceinline__ int element(int thread) { return thread % VECTORS * COPY<T>; }
  // Of the element (across, k).
  static __device__ __forceinline__ int place(int across, int k) {
    return k_neighbours ? across * PITCH + k : k * PITCH + across;
  }
};

// sums[m][n] += sum over k; copy(step, stage) starts the copies of a step.
template <class T, bool a_k, bool b_k, class Copy>
__device__ __forceinline__ void multiply_steps(int64_t steps, const T* a, const T* b, int a_stage,
                                               int b_stage, float* sums, const Copy& copy) {
  constexpr int DEPTH = TILE_DEPTH<T>;
  using A = Operand<T, a_k>;
  using B = Operand<T, b_k>;
  TileSums<T> acc[2][2];
#pragma unroll
  for (int i = 0; i < 4; ++i) acc[i / 2][i % 2].clear();
  const int warp = threadIdx.x / 32;
  const int m = warp / 2 * WARP_TILE, n = warp % 2 * WARP_TILE;
  if (steps > 0) copy(0, 0);
  for (int64_t step = 0; step < steps; ++step) {
    const int stage = int(step % 2);
    if (step + 1 < steps) {
      copy(step + 1, 1 - stage);
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncthreads();  // every thread's copies of this stage have arrived
#pragma unroll
    for (int k = 0; k < STEP<T>; k += DEPTH) {
      TileA<T, a_k> of_a[2];
      TileB<T, b_k> of_b[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        of_a[i].load(a + stage * a_stage + A::place(m + 16 * i, k), A::PITCH);
        of_b[i].load(b + stage * b_stage + B::place(n + 16 * i, k), B::PITCH);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 2; ++j) acc[i][j].add(of_a[i], of_b[j]);
    }
    __syncthreads();  // this stage is read, before the copies after the next go there
  }
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 2; ++j)
      acc[i][j].store(sums + (m + 16 * i) * SUMS_PITCH + n + 16 * j, SUMS_PITCH);
  __syncthreads();  // all sums are stored
}

}  // namespace fastconv::cuda
