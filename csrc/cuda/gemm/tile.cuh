// The product of two tiles in shared memory: sums[m][n] += sum over k of a[k][m] * b[k][n]. Layer:
// cuda/gemm.
//
// A block of 256 threads owns 64 x 64 results, a thread 4 x 4: per k it loads 4 + 4 values as vectors
// and does 16 multiply-adds. Tiles of TILE_K terms are in shared memory twice: while one is
// multiplied, registers fetch the next. Shared memory: 2 * 2 * 16 * 68 sums, 17 KiB (double: 34 KiB).
#pragma once

#include "../common/elements.h"

namespace fastconv::cuda {

constexpr int GEMM_THREADS = 256, TILE_M = 64, TILE_N = 64, TILE_K = 16, PER_THREAD = 4;
constexpr int LOADS =
    TILE_K * TILE_M / GEMM_THREADS;        // elements of each tile that a thread fetches
constexpr int SIDE = TILE_M / PER_THREAD;  // threads along each side of the results
// Blocks that a multiprocessor holds at least: 128 registers for a thread, which no kernel exceeds.
// Sums in double take twice as many; one block of 255 then.
template <class Sum>
constexpr int GEMM_BLOCKS = sizeof(Sum) == 8 ? 1 : 2;
// Rows are padded: a multiple of 16 bytes that puts neighbouring k into other banks.
constexpr int PADDED = TILE_M + 4;
static_assert(TILE_M == TILE_N && SIDE * SIDE == GEMM_THREADS, "a thread for every 4 x 4 results");
static_assert(LOADS == 4 && TILE_K == SIDE, "fetches cover the tiles exactly");

template <class Sum>
__device__ __forceinline__ void multiply_tile(const Sum (&a)[TILE_K][PADDED],
                                              const Sum (&b)[TILE_K][PADDED], int m, int n,
                                              Sum (&sums)[PER_THREAD][PER_THREAD]) {
#pragma unroll
  for (int k = 0; k < TILE_K; ++k) {
    Sum of_a[PER_THREAD], of_b[PER_THREAD];
    load_vectors(&a[k][m], of_a);
    load_vectors(&b[k][n], of_b);
#pragma unroll
    for (int i = 0; i < PER_THREAD; ++i)
#pragma unroll
      for (int j = 0; j < PER_THREAD; ++j) sums[i][j] += of_a[i] * of_b[j];
  }
}

// Where in a tile a thread's fetch i lies. Wide: neighbouring threads are neighbours along m (or n),
// else along k, whichever is contiguous in memory.
struct Fetch {
  int k, m;
};
template <bool WIDE>
__device__ __forceinline__ Fetch fetch_place(int thread, int i) {
  if constexpr (WIDE) return {thread / TILE_M + i * (GEMM_THREADS / TILE_M), thread % TILE_M};
  return {thread % TILE_K, thread / TILE_K + i * (GEMM_THREADS / TILE_K)};
}

// fetch(first_k, a, b) brings LOADS values of each operand; wide_a, wide_b say which.
template <bool WIDE_A, bool WIDE_B, class Sum, class F>
__device__ __forceinline__ void multiply_tiles(int64_t first_k, int64_t end_k, int m, int n,
                                               Sum (&a)[2][TILE_K][PADDED],
                                               Sum (&b)[2][TILE_K][PADDED],
                                               Sum (&sums)[PER_THREAD][PER_THREAD],
                                               const F& fetch) {
  const int thread = threadIdx.x;
  Sum of_a[LOADS], of_b[LOADS];
  const auto store = [&](int stage) {
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      const Fetch to_a = fetch_place<WIDE_A>(thread, i), to_b = fetch_place<WIDE_B>(thread, i);
      a[stage][to_a.k][to_a.m] = of_a[i];
      b[stage][to_b.k][to_b.m] = of_b[i];
    }
  };
  fetch(first_k, of_a, of_b);
  store(0);
  __syncthreads();  // the first tiles are written
  int stage = 0;
  for (int64_t k = first_k; k < end_k; k += TILE_K) {
    const bool more = k + TILE_K < end_k;
    if (more) fetch(k + TILE_K, of_a, of_b);
    multiply_tile(a[stage], b[stage], m, n, sums);
    if (!more) break;
    stage ^= 1;
    store(stage);     // nobody reads this stage: all passed the barrier after its last product
    __syncthreads();  // the next tiles are written
  }
}

}  // namespace fastconv::cuda
