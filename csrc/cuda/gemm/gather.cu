// Convolution forward and backward_input as implicit matrix products. Layer: cuda/gemm.
//
//   out[row, column] = sum over k of in[row, k] * weight[k, column]     (../common/gather.h)
//   M = N * RH * RW pixels, N = channels of a group, K = C * JH * JW taps
//
// A block owns 64 pixels x 64 channels of one group (tile.cuh). k runs over (c, jh, jw) for NCHW,
// where neighbouring threads fetch neighbouring pixels, and over (jh, jw, c) for NHWC, where they
// fetch neighbouring channels. A thread decodes k by multiplications, once for each of its fetches.
#include "gemm.h"

#include "../common/rows.cuh"
#include "tile.cuh"

namespace fastconv::cuda {
namespace {

template <class T, bool LAST>
__global__ void __launch_bounds__(GEMM_THREADS, GEMM_BLOCKS<SumOf<T>>)
    gather_product(Gather g, Terms t, int64_t tiles_n, const T* __restrict__ in,
                   const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ out) {
  FC_BLOCK(GEMM_THREADS);
  using Sum = SumOf<T>;
  FC_SHARED(Sum, a, [2][TILE_K][PADDED]);
  FC_SHARED(Sum, b, [2][TILE_K][PADDED]);
  const int thread = threadIdx.x;
  const int64_t above = blockIdx.x / tiles_n, tile_n = blockIdx.x - above * tiles_n;
  const int64_t tile_m = above / g.groups, group = above - tile_m * g.groups;
  const int64_t first_row = tile_m * TILE_M, first_column = tile_n * TILE_N;

  constexpr int ROWS = LAST ? LOADS : 1;  // pixels that a thread fetches of
  Row rows[ROWS];
#pragma unroll
  for (int i = 0; i < ROWS; ++i)
    rows[i] = row_of(g, first_row + fetch_place<!LAST>(thread, i).m, group);
  const T* weights = weight + g.weight_first + group * g.weight_group;

  const auto fetch = [&](int64_t first_k, Sum(&of_a)[LOADS], Sum(&of_b)[LOADS]) {
    const int64_t own_k = first_k + fetch_place<false>(thread, 0).k;
    const Tap own = tap_of<LAST>(g, t, own_k);
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      const int64_t k = first_k + fetch_place<!LAST>(thread, i).k;
      const Tap tap = LAST ? own : tap_of<LAST>(g, t, k);
      const Row& row = rows[LAST ? i : 0];
      const int h = row.h + tap.h, w = row.w + tap.w;
      const bool inside = k < t.count && h >= 0 && h < int(g.IH) && w >= 0 && w < int(g.IW);
      of_a[i] = inside ? widen(in[row.offset + tap.offset]) : Sum(0);
      const int64_t column = first_column + fetch_place<false>(thread, i).m;
      const bool exists = own_k < t.count && column < g.columns;
      of_b[i] = exists ? widen(weights[own.weight + column * g.weight_column]) : Sum(0);
    }
  };
  Sum sums[PER_THREAD][PER_THREAD] = {};
  // Neighbouring threads own neighbouring pixels (NCHW) or channels (NHWC).
  const int m = (LAST ? thread / SIDE : thread % SIDE) * PER_THREAD;
  const int n = (LAST ? thread % SIDE : thread / SIDE) * PER_THREAD;
  if (t.count > 0)  // the same for all threads
    multiply_tiles<!LAST, false>(0, t.count, m, n, a, b, sums, fetch);

#pragma unroll
  for (int i = 0; i < PER_THREAD; ++i) {
    const int64_t row = first_row + m + i;
    if (row >= g.rows()) break;
    T* to = out + out_offset(g, row);
#pragma unroll
    for (int j = 0; j < PER_THREAD; ++j) {
      const int64_t column = first_column + n + j, channel = group * g.columns + column;
      if (column < g.columns)
        to[channel * g.out.c] = narrow<T>(sums[i][j] + (bias ? widen(bias[channel]) : Sum(0)));
    }
  }
}

template <class T>
cudaError_t run_gather(const Gather& g, const T* in, const T* w, const T* bias, T* out,
                       cudaStream_t stream) {
  if (g.rows() == 0 || g.channels() == 0) return cudaSuccess;
  const int64_t tiles_n = ceil_div(g.columns, TILE_N);
  const int64_t blocks = ceil_div(g.rows(), TILE_M) * g.groups * tiles_n;
  const Terms t(g, g.channels_last);
  const auto run = [&](auto kernel) {
    return launch("implicit matrix product", kernel, blocks, GEMM_THREADS, stream, g, t, tiles_n,
                  in, w, bias, out);
  };
  return g.channels_last ? run(gather_product<T, true>) : run(gather_product<T, false>);
}

template <class T>
cudaError_t choose_gather(const Gather& g, const T* in, const T* w, const T* bias, T* out,
                          const Tuning& tuning, cudaStream_t stream) {
  if (tensor_cores_support(g, in, w, tuning)) return tensor_gather(g, in, w, bias, out, stream);
  if (tensor_pixels_support<T>(g, tuning)) return tensor_pixels(g, in, w, bias, out, stream);
  return run_gather(g, in, w, bias, out, stream);
}

}  // namespace

template <class T>
cudaError_t gemm_forward(const Conv2dShape& s, const T* x, const T* w, const T* bias, T* y,
                         const Tuning& tuning, cudaStream_t stream) {
  return choose_gather(forward_gather(s), x, w, bias, y, tuning, stream);
}

template <class T>
cudaError_t gemm_backward_input(const Conv2dShape& s, const T* grad_y, const T* w, T* grad_x,
                                const Tuning& tuning, cudaStream_t stream) {
  for (int64_t h = 0; h < s.stride_h; ++h)
    for (int64_t v = 0; v < s.stride_w; ++v) {
      const Gather g = backward_input_gather(s, h, v);
      const T* no_bias = nullptr;
      const cudaError_t error = choose_gather(g, grad_y, w, no_bias, grad_x, tuning, stream);
      if (error != cudaSuccess) return error;
    }
  return cudaSuccess;
}

#define INSTANTIATE(T)                                                                    \
  template cudaError_t gemm_forward(const Conv2dShape&, const T*, const T*, const T*, T*, \
                                    const Tuning&, cudaStream_t);                         \
  template cudaError_t gemm_backward_input(const Conv2dShape&, const T*, const T*, T*,    \
                                           const Tuning&, cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
