// The second stage of split sums. Layer: cuda/common.
//   out[i] = sum over s < splits of partials[s][i], in this order, so results repeat bit for bit.
#pragma once

#include "../../core/shape.h"
#include "elements.h"

namespace fastconv::cuda {

constexpr int PARTIALS_THREADS = 256;

template <class T>
__global__ void __launch_bounds__(PARTIALS_THREADS)
    sum_partials(int64_t count, int64_t splits, const SumOf<T>* __restrict__ partials, T* out) {
  FC_BLOCK(PARTIALS_THREADS);
  const int64_t i = int64_t(blockIdx.x) * PARTIALS_THREADS + threadIdx.x;
  if (i >= count) return;
  SumOf<T> sum = 0;
  for (int64_t s = 0; s < splits; ++s) sum += partials[s * count + i];
  out[i] = narrow<T>(sum);
}

template <class T>
cudaError_t launch_sum_partials(int64_t count, int64_t splits, const SumOf<T>* partials, T* out,
                                cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  return launch("sum of partials", sum_partials<T>, ceil_div(count, PARTIALS_THREADS),
                PARTIALS_THREADS, stream, count, splits, partials, out);
}

// How many parts a sum over `terms` is split into, so that about `TARGET_BLOCKS` blocks run and each
// has at least `least` terms. It depends on the shape alone, never on the device.
constexpr int64_t TARGET_BLOCKS = 1024;  // some 8 for each of 132 multiprocessors
constexpr int64_t MAX_SPLITS = 128;      // bounds the workspace
constexpr int64_t choose_splits(int64_t blocks, int64_t terms, int64_t least) {
  return clamp64(min64(ceil_div(TARGET_BLOCKS, max64(1, blocks)), terms / least), 1, MAX_SPLITS);
}

}  // namespace fastconv::cuda
