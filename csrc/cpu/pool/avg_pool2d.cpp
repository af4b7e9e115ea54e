// avg_pool2d, adaptive_avg_pool2d and their gradients (contract: pool2d.h). Layer: cpu, driver.
//
// Leaf kernels: NCHW planes row by row (rows.inl), NHWC pixels (pixels.inl).
// Adaptive NCHW windows, which have no constant stride, are summed one by one.
#include "../../core/dtype.h"
#include "pool2d.h"
#include "jobs.h"

namespace fastconv::cpu {
namespace {

template <class T>
T divisor(const Pool2dShape& s, int64_t oh, int64_t ow) {
  return static_cast<T>(s.divisor_override ? s.divisor_override
                                           : s.rows_divisor(oh) * s.columns_divisor(ow));
}

template <class T>
void forward_nhwc(const Pool2dShape& s, const T* x, T* y, int threads) {
  const PoolKernels<T>& k = pool_kernels<T>(isa());
  parallel_jobs(pool_threads(s, threads), s.N * s.OH, [&](int64_t job, int) {
    const int64_t n = job / s.OH, oh = job % s.OH;
    const Window rows = s.rows(oh);
    for (int64_t ow = 0; ow < s.OW; ++ow) {
      const Window columns = s.columns(ow);
      k.avg_pixel(AvgPoolPixel<T>{
          PoolPixel<T>{s.C, rows.end - rows.first, columns.end - columns.first, s.IW * s.C, s.C,
                       x + ((n * s.IH + rows.first) * s.IW + columns.first) * s.C,
                       y + (job * s.OW + ow) * s.C},
          divisor<T>(s, oh, ow)});
    }
  });
}

// A job is some planes: each window is worked out once for all of them.
template <class T>
void forward_adaptive(const Pool2dShape& s, const T* x, T* y, int threads) {
  const PoolKernels<T>& k = pool_kernels<T>(isa());
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW, planes = s.N * s.C;
  const int64_t together = max64(1, POOL_JOB_ELEMENTS / max64(in, out));
  parallel_jobs(pool_threads(s, threads), ceil_div(planes, together), [&](int64_t job, int) {
    const int64_t begin = job * together, end = min64(begin + together, planes);
    for (int64_t oh = 0; oh < s.OH; ++oh)
      for (int64_t ow = 0; ow < s.OW; ++ow) {
        const Window rows = s.rows(oh), columns = s.columns(ow);
        const T count = divisor<T>(s, oh, ow);
        const T* from = x + rows.first * s.IW + columns.first;
        for (int64_t plane = begin; plane < end; ++plane)
          y[plane * out + oh * s.OW + ow] =
              k.window_sum(rows.end - rows.first, columns.end - columns.first, from + plane * in,
                           s.IW) /
              count;
      }
  });
}

// As forward_adaptive; windows of neighbours may overlap, so each adds to what is there.
template <class T>
void backward_adaptive(const Pool2dShape& s, const T* grad_y, T* grad_x, int threads) {
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW, planes = s.N * s.C;
  const int64_t together = max64(1, POOL_JOB_ELEMENTS / max64(in, max64(1, out)));
  parallel_jobs(pool_threads(s, threads), ceil_div(planes, together), [&](int64_t job, int) {
    const int64_t begin = job * together, end = min64(begin + together, planes);
    std::fill(grad_x + begin * in, grad_x + end * in, T(0));
    for (int64_t oh = 0; oh < s.OH; ++oh)
      for (int64_t ow = 0; ow < s.OW; ++ow) {
        const Window rows = s.rows(oh), columns = s.columns(ow);
        const T count = divisor<T>(s, oh, ow);
        for (int64_t plane = begin; plane < end; ++plane) {
          const T share = grad_y[plane * out + oh * s.OW + ow] / count;
          for (int64_t ih = rows.first; ih < rows.end; ++ih) {
            T* row = grad_x + plane * in + ih * s.IW;
            for (int64_t iw = columns.first; iw < columns.end; ++iw) row[iw] += share;
          }
        }
      }
  });
}

}  // namespace

template <class T>
void avg_pool2d_forward(const Pool2dShape& s, const T* x, T* y, int threads) {
  if (s.y_count() == 0) return;
  if (s.channels_last) return forward_nhwc(s, x, y, threads);
  if (s.adaptive) return forward_adaptive(s, x, y, threads);
  const PoolKernels<T>& k = pool_kernels<T>(isa());
  for_row_blocks(
      s, s.OH, s.IW * s.stride_h, threads, [&](int64_t plane, int64_t first, int64_t end) {
        k.avg_rows(s, PoolPlane<T>{x + plane * s.IH * s.IW, y + plane * s.OH * s.OW, first, end});
      });
}

template <class T>
void avg_pool2d_backward(const Pool2dShape& s, const T* grad_y, T* grad_x, int threads) {
  if (s.x_count() == 0) return;
  const PoolKernels<T>& k = pool_kernels<T>(isa());
  if (s.adaptive && !s.channels_last) return backward_adaptive(s, grad_y, grad_x, threads);
  if (s.channels_last)
    return gather_gradient(
        s, grad_x, threads,
        [&](int64_t pixel, int64_t from, int64_t oh, int64_t ow, int64_t, T* to) {
          k.add_quotient(pixel, grad_y + from, divisor<T>(s, oh, ow), to);
        });
  for_row_blocks(s, s.IH, s.IW, threads, [&](int64_t plane, int64_t first, int64_t end) {
    k.avg_gradient_rows(
        s, PoolPlane<T>{grad_y + plane * s.OH * s.OW, grad_x + plane * s.IH * s.IW, first, end});
  });
}

#define INSTANTIATE(T)                                                     \
  template void avg_pool2d_forward(const Pool2dShape&, const T*, T*, int); \
  template void avg_pool2d_backward(const Pool2dShape&, const T*, T*, int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
