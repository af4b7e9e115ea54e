// max_pool2d and its gradient (contract: pool2d.h). Layer: cpu, driver.
//
// Forward, NCHW: rows of a plane are packed a band at a time (half of L1) with -inf beside them,
// then a vector of outputs takes the maximum over the window, its index travelling in the lanes
// beside it. NHWC: lanes are channels. Backward: each thread owns whole planes, zeroes one and
// scatters into it while it is in cache.
#include <algorithm>
#include <atomic>
#include <limits>

#include "pool2d.h"
#include "pool_band.h"

namespace fastconv::cpu {
namespace {

// Flat indices travel as integers of the width of T.
template <class T>
constexpr bool index_fits(const Pool2dShape& s) {
  const int64_t reach = (s.KH * s.dilation_h + s.IH + s.pad_h) * s.IW + s.KW * s.dilation_w + s.IW;
  return reach < std::numeric_limits<LaneInteger<T>>::max();
}

// As the formula says, for planes whose indices outgrow the lanes.
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
void forward_nhwc(const Pool2dShape& s, const T* x, T* y, int64_t* indices, int threads) {
  const Kernels<T>& k = kernels<T>();
  parallel_jobs(threads, s.N * s.OH, [&](int64_t job, int) {
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
void max_pool2d_forward(const Pool2dShape& s, const T* x, T* y, int64_t* indices, void* workspace,
                        int threads) {
  if (s.y_count() == 0) return;
  threads = pool_threads(s, threads);
  if (!index_fits<T>(s)) return forward_plain(s, x, y, indices, threads);
  if (s.channels_last) return forward_nhwc(s, x, y, indices, threads);

  const Kernels<T>& k = kernels<T>();
  const Band band = pool_band(s, sizeof(T));
  const PoolBuffers<T> b(s, band, threads, workspace);
  b.fill_tables(s, band);
  for_each_packed_row(
      s, band, b, threads, x, -std::numeric_limits<T>::infinity(),
      [&](const T* packed, int64_t plane, int64_t oh, int64_t first_row, int64_t rows) {
        const int64_t at = (plane * s.OH + oh) * s.OW;
        k.max_pool_row(MaxPoolRow<T>{
            PoolRow<T>{s.OW, rows, s.dilation_h * band.row_pitch(), s.KW, b.column, packed, y + at},
            indices ? indices + at : nullptr, first_row * s.IW, s.dilation_h * s.IW, b.first_column,
            b.start_column, s.dilation_w});
      });
}

template <class T>
bool max_pool2d_backward(const Pool2dShape& s, const T* grad_y, const int64_t* indices, T* grad_x,
                         int threads) {
  const int64_t image = s.IH * s.IW, outputs = s.OH * s.OW;
  // Channels of an NHWC image share cache lines: a thread owns whole lines of them.
  const int64_t share = s.channels_last ? min64(s.C, 64) : 1,
                shares = ceil_div(s.C, max64(1, share));
  const int64_t step = s.channels_last ? s.C : 1;
  std::atomic<bool> in_range{true};
  parallel_jobs(pool_threads(s, threads), s.N * shares, [&](int64_t job, int) {
    const int64_t n = job / shares, c0 = job % shares * share, channels = min64(share, s.C - c0);
    T* to = grad_x + n * s.C * image + (s.channels_last ? c0 : c0 * image);
    const int64_t from = n * s.C * outputs + (s.channels_last ? c0 : c0 * outputs);
    for (int64_t i = 0; i < image; ++i) std::fill(to + i * step, to + i * step + channels, T(0));
    bool job_in_range = true;
    for (int64_t i = 0; i < outputs; ++i)
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t at = from + i * step + c, index = indices[at];
        if (index >= 0 && index < image)
          to[index * step + c] += grad_y[at];
        else
          job_in_range = false;
      }
    if (!job_in_range) in_range = false;
  });
  return in_range;
}

#define INSTANTIATE(T)                                                                      \
  template void max_pool2d_forward(const Pool2dShape&, const T*, T*, int64_t*, void*, int); \
  template bool max_pool2d_backward(const Pool2dShape&, const T*, const int64_t*, T*, int);
INSTANTIATE(float)
INSTANTIATE(double)

}  // namespace fastconv::cpu
