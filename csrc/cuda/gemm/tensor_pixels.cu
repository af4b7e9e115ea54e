// Convolution forward and backward_input on tensor cores, pixels being neighbours. Layer: cuda/gemm.
//
//   out[row, column] = sum over k of in[row, k] * weight[k, column]     (../common/gather.h)
//   M = N * RH * RW pixels, N = channels of a group, K = C * JH * JW taps (c, jh, jw), 64 bytes at a time
//
// NCHW, where a tap moves a row of pixels by any number of elements, so that no 16 bytes can be copied
// at once; and channels_last of few channels. A thread fetches one pixel of half of a step's taps, so
// neighbouring threads fetch neighbouring pixels. The block decodes each tap once, into a table for the
// next step. tensor_tile.cuh says what a block owns. Shared memory: 38 KiB.
#include "gemm.h"

#include "../common/rows.cuh"
#include "tensor_tile.cuh"

namespace fastconv::cuda {
namespace {

template <class T, bool BY_COLUMNS>
__global__ void __launch_bounds__(TENSOR_THREADS, FETCHING_BLOCKS)
    tensor_pixels_product(Gather g, Terms t, int64_t tiles_n, const T* __restrict__ in,
                          const T* __restrict__ weight, const T* __restrict__ bias,
                          T* __restrict__ out) {
  FC_BLOCK(TENSOR_THREADS);
  if constexpr (tensor_cores_have<T>()) {
    using A = Operand<T, false>;
    using B = Operand<T, true>;
    FC_SHARED(T, a, [2][A::ROWS][A::PITCH]);
    FC_SHARED(T, b, [2][B::ROWS][B::PITCH]);
    FC_SHARED(Place, taps, [2][STEP<T>]);
    FC_SHARED(float, sums, [TENSOR_TILE][SUMS_PITCH]);
    constexpr int LOADS = TENSOR_TILE * STEP<T> / TENSOR_THREADS;
    constexpr int TAPS_APART = TENSOR_THREADS / TENSOR_TILE;  // of a thread's fetches of `in`
    constexpr int COLUMNS_APART = TENSOR_THREADS / STEP<T>;   // of its fetches of weights
    const int thread = threadIdx.x;
    const int64_t above = blockIdx.x / tiles_n, tile_n = blockIdx.x - above * tiles_n;
    const int64_t tile_m = above / g.groups, group = above - tile_m * g.groups;
    const int64_t first_row = tile_m * TENSOR_TILE, first_column = tile_n * TENSOR_TILE;

    const int own_row = thread % TENSOR_TILE, first_tap = thread / TENSOR_TILE;
    const int own_tap = thread % STEP<T>, own_column = thread / STEP<T>;
    const Row row = row_of(g, first_row + own_row, group);
    const T* weights = weight + g.weight_first + group * g.weight_group;
    int64_t weight_at = -1;  // of the next step's own tap; -1: it does not exist
    const auto decode = [&](int64_t step) {
      const int64_t k = step * STEP<T> + own_tap;
      const bool exists = k < t.count;
      const Tap tap = tap_of<false>(g, t, exists ? k : 0);
      weight_at = exists ? tap.weight : -1;
      const Place place{tap.offset, exists ? tap.h : NOWHERE, tap.w};
      if (thread < STEP<T>) copy_vector(&taps[step % 2][thread], &place);
    };

    T of_a[LOADS], of_b[LOADS];
    const auto fetch = [&](int64_t step) {
#pragma unroll
      for (int i = 0; i < LOADS; ++i) {
        const Place tap = load_place(&taps[step % 2][first_tap + i * TAPS_APART]);
        const bool inside = is_inside(row.h + tap.h, row.w + tap.w, int(g.IH), int(g.IW));
        of_a[i] = inside ? in[row.offset + tap.offset] : T{};
        const int64_t column = first_column + own_column + i * COLUMNS_APART;
        const bool exists = weight_at >= 0 && column < g.columns;
        of_b[i] = exists ? weights[weight_at + column * g.weight_column] : T{};
      }
      decode(step + 1);  // nobody reads that table: all passed the barrier after its fetch
    };
    const auto store = [&](int stage) {
#pragma unroll
      for (int i = 0; i < LOADS; ++i) {
        a[stage][first_tap + i * TAPS_APART][own_row] = of_a[i];
        b[stage][own_column + i * COLUMNS_APART][own_tap] = of_b[i];
      }
    };
    if (t.count > 0) {  // the same for all threads
      decode(0);
      __syncthreads();  // the first table is written
    }
    multiply_fetched<T, false, true, BY_COLUMNS>(ceil_div(t.count, STEP<T>), &a[0][0][0],
                                                 &b[0][0][0], A::ROWS * A::PITCH,
                                                 B::ROWS * B::PITCH, &sums[0][0], fetch, store);
    // Neighbouring threads store neighbouring pixels (BY_COLUMNS) or channels.
    for (int i = thread; i < TENSOR_TILE * TENSOR_TILE; i += TENSOR_THREADS) {
      const int line = i / TENSOR_TILE, place = i % TENSOR_TILE;
      const int64_t to_row = first_row + (BY_COLUMNS ? place : line);
      const int64_t column = first_column + (BY_COLUMNS ? line : place);
      if (to_row >= g.rows() || column >= g.columns) continue;
      const int64_t channel = group * g.columns + column;
      out[out_offset(g, to_row) + channel * g.out.c] =
          narrow<T>(sums[line][place] + (bias ? widen(bias[channel]) : 0.0f));
    }
  }
}

}  // namespace

template <class T>
cudaError_t tensor_pixels(const Gather& g, const T* in, const T* weight, const T* bias, T* out,
                          cudaStream_t stream) {
  if constexpr (sizeof(T) <= 4) {
    if (g.rows() == 0 || g.channels() == 0) return cudaSuccess;
    const int64_t tiles_n = ceil_div(g.columns, TENSOR_TILE);
    const int64_t blocks = ceil_div(g.rows(), TENSOR_TILE) * g.groups * tiles_n;
    const auto run = [&](auto kernel) {
      return launch("tensor core product of pixels", kernel, blocks, TENSOR_THREADS, stream, g,
                    Terms(g, false), tiles_n, in, weight, bias, out);
    };
    return g.out.c == 1 && g.channels() > 1 ? run(tensor_pixels_product<T, false>)
                                            : run(tensor_pixels_product<T, true>);
  }
  return cudaErrorInvalidValue;  // tensor_pixels_support has said no
}

#define INSTANTIATE(T) \
  template cudaError_t tensor_pixels(const Gather&, const T*, const T*, const T*, T*, cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
