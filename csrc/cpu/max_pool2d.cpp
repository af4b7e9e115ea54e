// max_pool2d and its gradient (contract: pool2d.h). Layer: cpu, driver.
//
// Leaf kernels: NCHW planes row by row (isa/pool_rows.inl), NHWC pixels (isa/pool_pixels.inl).
// Indices travel in lanes as wide as the values; planes with more elements than those count take
// the plain loops at the top.
#include <limits>

#include "pool2d.h"
#include "pool_jobs.h"

namespace fastconv::cpu {
namespace {

template <class T>
constexpr bool index_fits(const Pool2dShape& s) {
  const int64_t reach = (s.KH * s.dilation_h + s.IH + s.pad_h) * s.IW + s.KW * s.dilation_w + s.IW;
  return reach < std::numeric_limits<LaneInteger<T>>::max();
}

template <class T>
void forward_plain(const Pool2dShape& s, const T* x, T* y, int64_t* indices, int threads) {
  const Strides xs = s.x_strides(), ys = s.y_strides();
  parallel_jobs(threads, s.N * s.C, [&](int64_t job, int) {
    const int64_t n = job / s.C, c = job % s.C;
    for (int64_t oh = 0; oh < s.OH; ++oh)
      for (int64_t ow = 0; ow < s.OW; ++ow) {
        const Window rows = s.rows(oh), columns = s.columns(ow);
        T best = -std::numeric_limits<T>::infinity();
        int64_t index = rows.first * s.IW + columns.first;
        for (int64_t ih = rows.first; ih < rows.end; ih += s.dilation_h)
          for (int64_t iw = columns.first; iw < columns.end; iw += s.dilation_w) {
            const T value = x[n * xs.n + c * xs.c + ih * xs.h + iw * xs.w];
            if (value > best || value != value) best = value, index = ih * s.IW + iw;
          }
        const int64_t at = n * ys.n + c * ys.c + oh * ys.h + ow * ys.w;
        y[at] = best;
        if (indices) indices[at] = index;
      }
  });
}

template <class T>
void backward_plain(const Pool2dShape& s, const T* grad_y, const int64_t* indices, T* grad_x,
                    int threads) {
  gather_gradient(s, grad_x, threads,
                  [&](int64_t pixel, int64_t from, int64_t, int64_t, int64_t index, T* to) {
                    for (int64_t c = 0; c < pixel; ++c)
                      if (indices[from + c] == index) to[c] += grad_y[from + c];
                  });
}

template <class T>
void forward_nhwc(const Pool2dShape& s, const T* x, T* y, int64_t* indices, int threads) {
  const Kernels<T>& k = kernels<T>();
  parallel_jobs(pool_threads(s, threads), s.N * s.OH, [&](int64_t job, int) {
    const int64_t n = job / s.OH;
    const Window rows = s.rows(job % s.OH);
    for (int64_t ow = 0; ow < s.OW; ++ow) {
      const Window columns = s.columns(ow);
      const int64_t at = (job * s.OW + ow) * s.C;
      k.max_pool_pixel(MaxPoolPixel<T>{
          PoolPixel<T>{s.C, ceil_div(rows.end - rows.first, s.dilation_h),
                       ceil_div(columns.end - columns.first, s.dilation_w),
                       s.dilation_h * s.IW * s.C, s.dilation_w * s.C,
                       x + ((n * s.IH + rows.first) * s.IW + columns.first) * s.C, y + at},
          indices ? indices + at : nullptr, rows.first * s.IW + columns.first, s.dilation_h * s.IW,
          s.dilation_w});
    }
  });
}

}  // namespace

template <class T>
void max_pool2d_forward(const Pool2dShape& s, const T* x, T* y, int64_t* indices, int threads) {
  if (s.y_count() == 0) return;
  if (!index_fits<T>(s)) return forward_plain(s, x, y, indices, threads);
  if (s.channels_last) return forward_nhwc(s, x, y, indices, threads);
  const Kernels<T>& k = kernels<T>();
  const int64_t input = s.IH * s.IW, output = s.OH * s.OW;
  for_row_blocks(
      s, s.OH, s.IW * s.stride_h, threads, [&](int64_t plane, int64_t first, int64_t end) {
        k.max_pool_rows(s, PoolPlane<T>{x + plane * input, y + plane * output, first, end},
                        indices ? indices + plane * output : nullptr);
      });
}

template <class T>
void max_pool2d_backward(const Pool2dShape& s, const T* grad_y, const int64_t* indices, T* grad_x,
                         int threads) {
  if (s.x_count() == 0) return;
  if (!index_fits<T>(s)) return backward_plain(s, grad_y, indices, grad_x, threads);
  const Kernels<T>& k = kernels<T>();
  if (s.channels_last)
    return gather_gradient(s, grad_x, threads,
                           [&](int64_t C, int64_t from, int64_t, int64_t, int64_t index, T* to) {
                             k.add_selected(C, grad_y + from, indices + from, index, to);
                           });
  const int64_t input = s.IH * s.IW, output = s.OH * s.OW;
  for_row_blocks(s, s.IH, s.IW, threads, [&](int64_t plane, int64_t first, int64_t end) {
    k.max_pool_gradient_rows(
        s, PoolPlane<T>{grad_y + plane * output, grad_x + plane * input, first, end},
        indices + plane * output);
  });
}

#define INSTANTIATE(T)                                                               \
  template void max_pool2d_forward(const Pool2dShape&, const T*, T*, int64_t*, int); \
  template void max_pool2d_backward(const Pool2dShape&, const T*, const int64_t*, T*, int);
INSTANTIATE(float)
INSTANTIATE(double)

}  // namespace fastconv::cpu
