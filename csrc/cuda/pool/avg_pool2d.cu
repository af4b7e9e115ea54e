// avg_pool2d: y[n,c,oh,ow] = sum over the window of x[n,c,ih,iw] / divisor; padding is 0. Layer:
// cuda/pool.
//
// A thread computes one element, as in max_pool2d.cu. Large windows of NCHW planes (global pooling)
// take a warp for each output: its lanes read neighbouring columns, and shuffles add their sums.
#include "pool2d.h"

#include "windows.cuh"

namespace fastconv::cuda {
namespace {

constexpr int LANES = 32, WARPS = POOL_THREADS / LANES;
// At least, of a multiprocessor: 80 registers for a thread. Without a number ptxas aims at 60, and
// spills.
constexpr int BACKWARD_BLOCKS = 3;
constexpr int64_t WARP_WINDOW = 48;  // elements: from 7x7 on every lane has work

template <class T, class Index>
__global__ void __launch_bounds__(POOL_THREADS)
    avg_forward(Pooling<Index> p, const T* __restrict__ x, T* __restrict__ y) {
  FC_BLOCK(POOL_THREADS);
  const int64_t i = int64_t(blockIdx.x) * POOL_THREADS + threadIdx.x;
  if (i >= p.outputs.count) return;
  const Place4 o = p.outputs(i);
  const Span rows = p.rows.inside(o.h), columns = p.columns.inside(o.w);
  x += o.n * p.x.n + o.c * p.x.c;
  SumOf<T> sum = 0;
  for (int ih = rows.first; ih < rows.end; ++ih)
    for (int iw = columns.first; iw < columns.end; ++iw) sum += widen(x[ih * p.x.h + iw * p.x.w]);
  y[i] = narrow<T>(sum / p.template divisor<SumOf<T>>(o.h, o.w));
}

// A warp for each output. Row after row, so no lane divides.
template <class T, class Index>
__global__ void __launch_bounds__(POOL_THREADS)
    avg_forward_warps(Pooling<Index> p, const T* __restrict__ x, T* __restrict__ y) {
  FC_BLOCK(POOL_THREADS);
  const int64_t i = int64_t(blockIdx.x) * WARPS + threadIdx.x / LANES;
  if (i >= p.outputs.count) return;  // whole warps
  const Place4 o = p.outputs(i);
  const Span rows = p.rows.inside(o.h), columns = p.columns.inside(o.w);
  const int width = columns.end - columns.first;
  int log = 5;  // 2^log lanes on each row: what a narrow row leaves over takes the next rows
  while (log > 0 && (1 << log) / 2 >= width) --log;
  const int lane = threadIdx.x % LANES, row = lane >> log, column = lane - (row << log);
  x += o.n * p.x.n + o.c * p.x.c;
  SumOf<T> sum = 0;
  for (int ih = rows.first + row; ih < rows.end; ih += LANES >> log)
    for (int iw = columns.first + column; iw < columns.end; iw += 1 << log)
      sum += widen(x[ih * p.x.h + iw * p.x.w]);
  for (int apart = LANES / 2; apart > 0; apart /= 2) sum += shuffle_down(sum, apart);
  if (lane == 0) y[i] = narrow<T>(sum / p.template divisor<SumOf<T>>(o.h, o.w));
}

template <class T, class Index>
__global__ void __launch_bounds__(POOL_THREADS, BACKWARD_BLOCKS)
    avg_backward(Pooling<Index> p, const T* __restrict__ grad_y, T* __restrict__ grad_x) {
  FC_BLOCK(POOL_THREADS);
  const int64_t i = int64_t(blockIdx.x) * POOL_THREADS + threadIdx.x;
  if (i >= p.inputs.count) return;
  const Place4 at = p.inputs(i);
  const Span columns = p.columns.over(at.w);
  grad_y += at.n * p.y.n + at.c * p.y.c;
  grad_x += at.n * p.x.n + at.c * p.x.c + at.w * p.x.w;
  const int end = int(min64(at.h * GRAD_ROWS + GRAD_ROWS, p.rows.I));
#pragma unroll 1
  for (int ih = at.h * GRAD_ROWS; ih < end; ++ih) {
    const Span rows = p.rows.over(ih);
    SumOf<T> sum = 0;
    for (int oh = rows.first; oh < rows.end; ++oh)
      for (int ow = columns.first; ow < columns.end; ++ow)
        sum += widen(grad_y[oh * p.y.h + ow * p.y.w]) / p.template divisor<SumOf<T>>(oh, ow);
    grad_x[ih * p.x.h] = narrow<T>(sum);
  }
}

}  // namespace

template <class T>
cudaError_t avg_pool2d_forward(const Pool2dShape& s, const T* x, T* y, const Tuning& tuning,
                               cudaStream_t stream) {
  const int64_t window = s.adaptive ? s.IH * s.IW / max64(1, s.OH * s.OW) : s.KH * s.KW;
  const bool warps = window >= WARP_WINDOW && (!s.channels_last || s.C == 1);
  return with_index(s, tuning, [&](auto zero) {
    using Index = decltype(zero);
    const Pooling<Index> p(s);
    if (warps)
      return launch_elements("avg_pool2d forward", avg_forward_warps<T, Index>, s.y_count() * LANES,
                             stream, p, x, y);
    return launch_elements("avg_pool2d forward", avg_forward<T, Index>, s.y_count(), stream, p, x,
                           y);
  });
}

template <class T>
cudaError_t avg_pool2d_backward(const Pool2dShape& s, const T* grad_y, T* grad_x,
                                const Tuning& tuning, cudaStream_t stream) {
  return with_index(s, tuning, [&](auto zero) {
    using Index = decltype(zero);
    return launch_gradients("avg_pool2d backward", avg_backward<T, Index>, Pooling<Index>(s),
                            stream, grad_y, grad_x);
  });
}

#define INSTANTIATE(T)                                                                      \
  template cudaError_t avg_pool2d_forward(const Pool2dShape&, const T*, T*, const Tuning&,  \
                                          cudaStream_t);                                    \
  template cudaError_t avg_pool2d_backward(const Pool2dShape&, const T*, T*, const Tuning&, \
                                           cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
