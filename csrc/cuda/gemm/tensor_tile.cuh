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
// Without a number ptxas aims at 80 there, and spills. Threads that fetch a step into registers: 168;
// the shared memory of sm_120 holds no third block.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1200
constexpr int TENSOR_BLOCKS = 4, FETCHING_BLOCKS = 2;
#else
constexpr int TENSOR_BLOCKS = 4, FETCHING_BLOCKS = 3;
#endif

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

// The sums of a warp, and their place in the block's 64 x 64.
template <class T, bool a_k, bool b_k>
struct WarpSums {
  using A = Operand<T, a_k>;
  using B = Operand<T, b_k>;
  TileSums<T> acc[2][2];
  int m, n;

  __device__ __forceinline__ WarpSums()
      : m(int(threadIdx.x) / 64 * WARP_TILE), n(int(threadIdx.x) / 32 % 2 * WARP_TILE) {
#pragma unroll
    for (int i = 0; i < 4; ++i) acc[i / 2][i % 2].clear();
  }
  // Adds the products of a step.
  __device__ __forceinline__ void add(const T* a, const T* b) {
#pragma unroll
    for (int k = 0; k < STEP<T>; k += TILE_DEPTH<T>) {
      TileA<T, a_k> of_a[2];
      TileB<T, b_k> of_b[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        of_a[i].load(a + A::place(m + 16 * i, k), A::PITCH);
        of_b[i].load(b + B::place(n + 16 * i, k), B::PITCH);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 2; ++j) acc[i][j].add(of_a[i], of_b[j]);
    }
  }
  // As sums[m][n] or, BY_COLUMNS, as sums[n][m].
  template <bool BY_COLUMNS>
  __device__ __forceinline__ void store(float* sums) const {
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int row = m + 16 * i, column = n + 16 * j;
        const int at = BY_COLUMNS ? column * SUMS_PITCH + row : row * SUMS_PITCH + column;
        acc[i][j].template store<BY_COLUMNS>(sums + at, SUMS_PITCH);
      }
    __syncthreads();  // all sums are stored
  }
};

// sums[m][n] = sum over k; copy(step, stage) starts the copies of a step.
template <class T, bool a_k, bool b_k, class Copy>
__device__ __forceinline__ void multiply_steps(int64_t steps, const T* a, const T* b, int a_stage,
                                               int b_stage, float* sums, const Copy& copy) {
  WarpSums<T, a_k, b_k> acc;
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
    acc.add(a + stage * a_stage, b + stage * b_stage);
    __syncthreads();  // this stage is read, before the copies after the next go there
  }
  acc.template store<false>(sums);
}

// The same where threads fetch elements into registers: fetch(step), then store(stage).
template <class T, bool a_k, bool b_k, bool BY_COLUMNS, class Fetch, class Store>
__device__ __forceinline__ void multiply_fetched(int64_t steps, const T* a, const T* b, int a_stage,
                                                 int b_stage, float* sums, const Fetch& fetch,
                                                 const Store& store) {
  WarpSums<T, a_k, b_k> acc;
  if (steps > 0) {  // the same for all threads
    fetch(0);
    store(0);
    __syncthreads();  // the first step is stored
  }
  for (int64_t step = 0; step < steps; ++step) {
    const int stage = int(step % 2);
    if (step + 1 < steps) fetch(step + 1);
    acc.add(a + stage * a_stage, b + stage * b_stage);
    if (step + 1 == steps) break;
    store(1 - stage);  // nobody reads this stage: all passed the barrier after its last product
    __syncthreads();   // the next step is stored
  }
  acc.template store<BY_COLUMNS>(sums);
}

}  // namespace fastconv::cuda
