// Convolution forward and backward_input as implicit matrix products. Layer: cuda/gemm.
//
//   out[row, column] = sum over k of in[row, k] * weight[k, column]     (../common/gather.h)
//   M = N * RH * RW pixels, N = channels of a group, K = C * JH * JW taps
//
// A block owns 64 pixels x 64 channels of one group (tile.cuh). k runs over (c, jh, jw) for NCHW,
// where neighbouring threads fetch neighbouring pixels, and over (jh, jw, c) for NHWC, where they
// fetch neighbouring channels. A thread decodes k by multiplications, once for each of its fetches.
#include "gemm.h"

#include "../common/gather.h"
#include "rows.cuh"
#include "tile.cuh"

namespace fastconv::cuda {
namespace {

struct Tiles {
  int64_t columns;  // tiles along the channels of a group
  int64_t terms;
  Divider<uint32_t> inner, outer;  // k = (q * outer + r) * inner + s
};

struct Tap {
  int64_t offset, weight;
  int h, w;
};
template <bool LAST>
__device__ __forceinline__ Tap tap_of(const Gather& g, const Tiles& t, int64_t k) {
  const auto [above, s] = t.inner(uint32_t(k));
  const auto [q, r] = t.outer(above);
  const int64_t c = LAST ? s : q, jh = LAST ? q : r, jw = LAST ? r : s;
  const int h = int(jh * g.tap_step_h), w = int(jw * g.tap_step_w);
  return {c * g.in.c + h * g.in.h + w * g.in.w, c * g.weight_c + jh * g.weight_h + jw * g.weight_w,
          h, w};
}

template <class T, bool LAST>
__global__ void __launch_bounds__(GEMM_THREADS, GEMM_BLOCKS<SumOf<T>>)
    gather_product(Gather g, Tiles t, const T* __restrict__ in, const T* __restrict__ weight,
                   const T* __restrict__ bias, T* __restrict__ out) {
  FC_BLOCK(GEMM_THREADS);
  using Sum = SumOf<T>;
  FC_SHARED(Sum, a, [2][TILE_K][PADDED]);
  FC_SHARED(Sum, b, [2][TILE_K][PADDED]);
  const int thread = threadIdx.x;
  const int64_t above = blockIdx.x / t.columns, tile_n = blockIdx.x - above * t.columns;
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
      const bool inside = k < t.terms && h >= 0 && h < int(g.IH) && w >= 0 && w < int(g.IW);
      of_a[i] = inside ? widen(in[row.offset + tap.offset]) : Sum(0);
      const int64_t column = first_column + fetch_place<false>(thread, i).m;
      const bool exists = own_k < t.terms && column < g.columns;
      of_b[i] = exists ? widen(weights[own.weight + column * g.weight_column]) : Sum(0);
    }
  };
  Sum sums[PER_THREAD][PER_THREAD] = {};
  // Neighbouring threads own neighbouring pixels (NCHW) or channels (NHWC).
  const int m = (LAST ? thread / SIDE : thread % SIDE) * PER_THREAD;
  const int n = (LAST ? thread % SIDE : thread / SIDE) * PER_THREAD;
  if (t.terms > 0)  // the same for all threads
    multiply_tiles<!LAST, false>(0, t.terms, m, n, a, b, sums, fetch);

#pragma unroll
  for (int i = 0; i < PER_THREAD; ++i) {
    const int64_t row = first_row + m + i;
    if (row >= g.rows()) break;
    const int64_t line = row / g.RW, image = line / g.RH;
    T* to = out + g.out_first + image * g.out.n + (line - image * g.RH) * g.out.h +
            (row - line * g.RW) * g.out.w;
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
  Tiles t;
  t.columns = ceil_div(g.columns, TILE_N);
  t.terms = g.terms();
  t.inner = Divider<uint32_t>(g.channels_last ? g.C : g.JW);
  t.outer = Divider<uint32_t>(g.channels_last ? g.JW : g.JH);
  const int64_t blocks = ceil_div(g.rows(), TILE_M) * g.groups * t.columns;
  const char* name = "implicit matrix product";
  return g.channels_last ? launch(name, gather_product<T, true>, blocks, GEMM_THREADS, stream, g, t,
                                  in, w, bias, out)
                         : launch(name, gather_product<T, false>, blocks, GEMM_THREADS, stream, g,
                                  t, in, w, bias, out);
}

}  // namespace

template <class T>
cudaError_t gemm_forward(const Conv2dShape& s, const T* x, const T* w, const T* bias, T* y,
                         const Tuning& tuning, cudaStream_t stream) {
  const Gather g = forward_gather(s);
  if (tensor_cores_support(g, x, w, tuning)) return tensor_gather(g, x, w, bias, y, stream);
  return run_gather(g, x, w, bias, y, stream);
}

template <class T>
cudaError_t gemm_backward_input(const Conv2dShape& s, const T* grad_y, const T* w, T* grad_x,
                                const Tuning& tuning, cudaStream_t stream) {
  for (int64_t h = 0; h < s.stride_h; ++h)
    for (int64_t v = 0; v < s.stride_w; ++v) {
      const Gather g = backward_input_gather(s, h, v);
      const T* no_bias = nullptr;
      const cudaError_t error = tensor_cores_support(g, grad_y, w, tuning)
                                    ? tensor_gather(g, grad_y, w, no_bias, grad_x, stream)
                                    : run_gather(g, grad_y, w, no_bias, grad_x, stream);
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
