// max_pool2d: y[n,c,oh,ow] = max over the window; first maximum, last NaN. Layer: cuda/pool.
//
// A thread computes one element of y and codes in forward, and GRAD_ROWS elements of grad_x in
// backward, where it gathers from every window that holds its input. So nothing is added atomically
// and results repeat.
// Neighbouring threads are neighbours in memory, in both layouts. Shared memory: none.
#include "pool2d.h"

#include "windows.cuh"

namespace fastconv::cuda {
namespace {

// At least, of a multiprocessor: 40 registers for a thread. That of sm_75 holds 1,024 threads.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int BACKWARD_BLOCKS = 4;
#else
constexpr int BACKWARD_BLOCKS = 6;
#endif

template <class T, class Index, class Code>
__global__ void __launch_bounds__(POOL_THREADS)
    max_forward(Pooling<Index> p, const T* __restrict__ x, T* __restrict__ y,
                Code* __restrict__ codes) {
  FC_BLOCK(POOL_THREADS);
  const int64_t i = int64_t(blockIdx.x) * POOL_THREADS + threadIdx.x;
  if (i >= p.outputs.count) return;
  const Place4 o = p.outputs(i);
  const int top = p.rows.start(o.h), left = p.columns.start(o.w);
  const int KH = p.rows.taps(o.h, top), KW = p.columns.taps(o.w, left);
  x += o.n * p.x.n + o.c * p.x.c;
  SumOf<T> best = 0;
  int code = -1;
  for (int kh = 0; kh < KH; ++kh) {
    const int ih = top + kh * p.rows.dilation;
    if (ih < 0 || ih >= p.rows.I) continue;
    for (int kw = 0; kw < KW; ++kw) {
      const int iw = left + kw * p.columns.dilation;
      if (iw < 0 || iw >= p.columns.I) continue;
      const SumOf<T> value = widen(x[ih * p.x.h + iw * p.x.w]);
      if (code < 0 || value > best || value != value) {
        best = value;
        code = kh * p.columns.K + kw;
      }
    }
  }
  y[i] = narrow<T>(best);
  if (codes) codes[i] = Code(code);
}

template <class Index, class Code>
__global__ void __launch_bounds__(POOL_THREADS)
    max_indices(Pooling<Index> p, Divider<uint32_t> by_KW, const Code* __restrict__ codes,
                int64_t* __restrict__ indices) {
  FC_BLOCK(POOL_THREADS);
  const int64_t i = int64_t(blockIdx.x) * POOL_THREADS + threadIdx.x;
  if (i >= p.outputs.count) return;
  const Place4 o = p.outputs(i);
  const auto [kh, kw] = by_KW(uint32_t(codes[i]));
  const int64_t ih = p.rows.start(o.h) + int(kh) * p.rows.dilation;
  indices[i] = ih * p.columns.I + p.columns.start(o.w) + int(kw) * p.columns.dilation;
}

template <class T, class Index, class Code>
__global__ void __launch_bounds__(POOL_THREADS, BACKWARD_BLOCKS)
    max_backward(Pooling<Index> p, const T* __restrict__ grad_y, const Code* __restrict__ codes,
                 T* __restrict__ grad_x) {
  FC_BLOCK(POOL_THREADS);
  const int64_t i = int64_t(blockIdx.x) * POOL_THREADS + threadIdx.x;
  if (i >= p.inputs.count) return;
  const Place4 at = p.inputs(i);
  const Span columns = p.columns.over(at.w);
  const int64_t plane = at.n * p.y.n + at.c * p.y.c;
  grad_x += at.n * p.x.n + at.c * p.x.c + at.w * p.x.w;
  const int end = int(min64(at.h * GRAD_ROWS + GRAD_ROWS, p.rows.I));
#pragma unroll 1
  for (int ih = at.h * GRAD_ROWS; ih < end; ++ih) {
    const Span rows = p.rows.over(ih);
    SumOf<T> sum = 0;
    for (int oh = rows.first; oh < rows.end; ++oh) {
      const int kh = p.rows.tap(oh, ih);
      if (kh < 0) continue;
      for (int ow = columns.first; ow < columns.end; ++ow) {
        const int kw = p.columns.tap(ow, at.w);
        const int64_t from = plane + oh * p.y.h + ow * p.y.w;
        if (kw >= 0 && int(codes[from]) == kh * p.columns.K + kw) sum += widen(grad_y[from]);
      }
    }
    grad_x[ih * p.x.h] = narrow<T>(sum);
  }
}

}  // namespace

template <class T, class Code>
cudaError_t max_pool2d_forward(const Pool2dShape& s, const T* x, T* y, Code* codes,
                               const Tuning& tuning, cudaStream_t stream) {
  return with_index(s, tuning, [&](auto zero) {
    using Index = decltype(zero);
    return launch_elements("max_pool2d forward", max_forward<T, Index, Code>, s.y_count(), stream,
                           Pooling<Index>(s), x, y, codes);
  });
}

template <class Code>
cudaError_t max_pool2d_indices(const Pool2dShape& s, const Code* codes, int64_t* indices,
                               const Tuning& tuning, cudaStream_t stream) {
  return with_index(s, tuning, [&](auto zero) {
    using Index = decltype(zero);
    return launch_elements("max_pool2d indices", max_indices<Index, Code>, s.y_count(), stream,
                           Pooling<Index>(s), Divider<uint32_t>(s.KW), codes, indices);
  });
}

template <class T, class Code>
cudaError_t max_pool2d_backward(const Pool2dShape& s, const T* grad_y, const Code* codes, T* grad_x,
                                const Tuning& tuning, cudaStream_t stream) {
  return with_index(s, tuning, [&](auto zero) {
    using Index = decltype(zero);
    return launch_gradients("max_pool2d backward", max_backward<T, Index, Code>, Pooling<Index>(s),
                            stream, grad_y, codes, grad_x);
  });
}

#define INSTANTIATE_CODE(T, Code)                                                                 \
  template cudaError_t max_pool2d_forward(const Pool2dShape&, const T*, T*, Code*, const Tuning&, \
                                          cudaStream_t);                                          \
  template cudaError_t max_pool2d_backward(const Pool2dShape&, const T*, const Code*, T*,         \
                                           const Tuning&, cudaStream_t);
#define INSTANTIATE(T)         \
  INSTANTIATE_CODE(T, uint8_t) \
  INSTANTIATE_CODE(T, int32_t)
FC_FOR_EACH_TYPE(INSTANTIATE)
template cudaError_t max_pool2d_indices(const Pool2dShape&, const uint8_t*, int64_t*, const Tuning&,
                                        cudaStream_t);
template cudaError_t max_pool2d_indices(const Pool2dShape&, const int32_t*, int64_t*, const Tuning&,
                                        cudaStream_t);

}  // namespace fastconv::cuda
