// avg_pool2d, adaptive_avg_pool2d and their gradients (contract: pool2d.h). Layer: cpu, driver.
//
// Forward, NCHW: rows packed with zeros beside them, summed in vectors of outputs. NHWC: lanes are
// channels. Backward, NCHW: a row of grad_x gathers the quotients grad_y / divisor of the windows
// above it in packed form (columns split by stride phase), then the phases are joined; NHWC: pixel
// by pixel, lanes are channels. Adaptive NCHW windows, which have no constant stride, are summed
// element by element.
#include <algorithm>

#include "pool2d.h"
#include "pool_band.h"

namespace fastconv::cpu {
namespace {

constexpr int64_t ROW_JOB_ELEMENTS = 4096;  // a job of fewer costs more to hand out than to do

template <class T>
T divisor(const Pool2dShape& s, int64_t oh, int64_t ow) {
  return static_cast<T>(s.divisor_override ? s.divisor_override
                                           : s.rows_divisor(oh) * s.columns_divisor(ow));
}

// The windows of one axis that hold input i: outputs [first, end).
Window windows_over(const Pool2dShape& s, int64_t i, int64_t I, int64_t O, int64_t K,
                    int64_t stride, int64_t pad) {
  if (s.adaptive) return {i * O / I, ceil_div((i + 1) * O, I)};
  const int64_t after = i + pad - K + 1;
  return {after <= 0 ? 0 : ceil_div(after, stride), min64((i + pad) / stride + 1, O)};
}

template <class T>
void forward_nhwc(const Pool2dShape& s, const T* x, T* y, int threads) {
  const Kernels<T>& k = kernels<T>();
  parallel_jobs(threads, s.N * s.OH, [&](int64_t job, int) {
    const int64_t n = job / s.OH, oh = job % s.OH;
    const Window rows = s.rows(oh);
    for (int64_t ow = 0; ow < s.OW; ++ow) {
      const Window columns = s.columns(ow);
      k.avg_pool_pixel(AvgPoolPixel<T>{
          PoolPixel<T>{s.C, rows.end - rows.first, columns.end - columns.first, s.IW * s.C, s.C,
                       x + ((n * s.IH + rows.first) * s.IW + columns.first) * s.C,
                       y + (job * s.OW + ow) * s.C},
          divisor<T>(s, oh, ow)});
    }
  });
}

template <class T>
void forward_adaptive(const Pool2dShape& s, const T* x, T* y, int threads) {
  parallel_jobs(threads, s.N * s.C, [&](int64_t plane, int) {
    for (int64_t oh = 0; oh < s.OH; ++oh)
      for (int64_t ow = 0; ow < s.OW; ++ow) {
        const Window rows = s.rows(oh), columns = s.columns(ow);
        double sum = 0;
        for (int64_t ih = rows.first; ih < rows.end; ++ih)
          for (int64_t iw = columns.first; iw < columns.end; ++iw)
            sum += x[(plane * s.IH + ih) * s.IW + iw];
        y[(plane * s.OH + oh) * s.OW + ow] = static_cast<T>(sum / divisor<double>(s, oh, ow));
      }
  });
}

// Any layout of windows: a job owns rows of grad_x and gathers into them, `pixel` elements at a
// time.
template <class T>
void backward_gather(const Pool2dShape& s, const T* grad_y, T* grad_x, int threads) {
  const Kernels<T>& k = kernels<T>();
  const int64_t pixel = s.channels_last ? s.C : 1, planes = s.channels_last ? s.N : s.N * s.C;
  parallel_jobs(threads, planes * s.IH, [&](int64_t job, int) {
    const int64_t plane = job / s.IH, ih = job % s.IH;
    T* row = grad_x + job * s.IW * pixel;
    std::fill(row, row + s.IW * pixel, T(0));
    const Window oh_over = windows_over(s, ih, s.IH, s.OH, s.KH, s.stride_h, s.pad_h);
    for (int64_t oh = oh_over.first; oh < oh_over.end; ++oh)
      for (int64_t ow = 0; ow < s.OW; ++ow) {
        const Window columns = s.columns(ow);
        const T* from = grad_y + ((plane * s.OH + oh) * s.OW + ow) * pixel;
        const T by = divisor<T>(s, oh, ow);
        for (int64_t iw = columns.first; iw < columns.end; ++iw)
          k.add_quotient(pixel, from, by, row + iw * pixel);
      }
  });
}

template <class T>
void backward_nchw(const Pool2dShape& s, const T* grad_y, T* grad_x, void* workspace, int threads) {
  const Kernels<T>& k = kernels<T>();
  const Band band = pool_band(s, sizeof(T));
  const PoolBuffers<T> b(s, band, threads, workspace);
  b.fill_tables(s, band);
  const int64_t stride = s.stride_w, phases = band.phases(), pitch = band.pitch();
  const auto gather_row = [&](int64_t plane, int64_t ih, T* sums) {
    T* quotients = sums + band.row_pitch();
    std::fill(sums, sums + band.row_pitch(), T(0));
    const Window over = windows_over(s, ih, s.IH, s.OH, s.KH, s.stride_h, s.pad_h);
    for (int64_t oh = over.first; oh < over.end; ++oh) {
      const int64_t factor = s.divisor_override ? s.divisor_override : s.rows_divisor(oh);
      k.divide(s.OW, grad_y + (plane * s.OH + oh) * s.OW, static_cast<T>(factor), b.column_divisor,
               quotients);
      for (int64_t kw = 0; kw < s.KW; ++kw) k.add(s.OW, quotients, sums + b.column[kw]);
    }
    T* row = grad_x + (plane * s.IH + ih) * s.IW;
    if (stride == 2 && phases == 2 && s.pad_w == 0 && 2 * pitch >= s.IW) {
      k.interleave(s.IW / 2, sums, sums + pitch, row);
      if (s.IW % 2) row[s.IW - 1] = sums[s.IW / 2];
      return;
    }
    for (int64_t iw = 0; iw < s.IW; ++iw) {
      const int64_t column = iw + s.pad_w, phase = column % stride, q = column / stride;
      row[iw] = phase < phases && q < pitch ? sums[phase * pitch + q] : T(0);
    }
  };
  const int64_t rows = clamp64(ROW_JOB_ELEMENTS / s.IW, 1, s.IH), shares = ceil_div(s.IH, rows);
  parallel_jobs(threads, s.N * s.C * shares, [&](int64_t job, int thread) {
    const int64_t first = job % shares * rows;
    for (int64_t ih = first; ih < min64(first + rows, s.IH); ++ih)
      gather_row(job / shares, ih, b.scratch + thread * b.scratch_count);
  });
}

}  // namespace

template <class T>
void avg_pool2d_forward(const Pool2dShape& s, const T* x, T* y, void* workspace, int threads) {
  if (s.y_count() == 0) return;
  threads = pool_threads(s, threads);
  if (s.channels_last) return forward_nhwc(s, x, y, threads);
  if (s.adaptive) return forward_adaptive(s, x, y, threads);

  const Kernels<T>& k = kernels<T>();
  const Band band = pool_band(s, sizeof(T));
  const PoolBuffers<T> b(s, band, threads, workspace);
  b.fill_tables(s, band);
  for_each_packed_row(
      s, band, b, threads, x, T(0),
      [&](const T* packed, int64_t plane, int64_t oh, int64_t, int64_t rows) {
        const int64_t factor = s.divisor_override ? s.divisor_override : s.rows_divisor(oh);
        k.avg_pool_row(AvgPoolRow<T>{PoolRow<T>{s.OW, rows, band.row_pitch(), s.KW, b.column,
                                                packed, y + (plane * s.OH + oh) * s.OW},
                                     static_cast<T>(factor), b.column_divisor});
      });
}

template <class T>
void avg_pool2d_backward(const Pool2dShape& s, const T* grad_y, T* grad_x, void* workspace,
                         int threads) {
  threads = pool_threads(s, threads);
  if (s.x_count() == 0) return;
  if (s.y_count() == 0) return std::fill(grad_x, grad_x + s.x_count(), T(0)), void();
  if (s.channels_last || s.adaptive) return backward_gather(s, grad_y, grad_x, threads);
  backward_nchw(s, grad_y, grad_x, workspace, threads);
}

template <class T>
int64_t pool2d_workspace_bytes(const Pool2dShape& s, int threads) {
  if (!pool_packs(s) || s.y_count() == 0) return 0;
  return PoolBuffers<T>(s, pool_band(s, sizeof(T)), pool_threads(s, threads), nullptr).bytes;
}

#define INSTANTIATE(T)                                                             \
  template void avg_pool2d_forward(const Pool2dShape&, const T*, T*, void*, int);  \
  template void avg_pool2d_backward(const Pool2dShape&, const T*, T*, void*, int); \
  template int64_t pool2d_workspace_bytes<T>(const Pool2dShape&, int);
INSTANTIATE(float)
INSTANTIATE(double)

}  // namespace fastconv::cpu
