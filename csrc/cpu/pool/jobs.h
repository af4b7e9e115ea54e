// How the pools share their work out, the same for max and average. Layer: cpu, for drivers.
//
// NCHW: a job is some rows of one plane, large enough to be worth handing out. NHWC: a row of one
// image.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../../core/shape.h"
#include "table.h"
#include "../common/parallel.h"

namespace fastconv::cpu {

constexpr int64_t POOL_JOB_ELEMENTS = 4096;  // of the larger of input and output

inline int pool_threads(const Pool2dShape& s, int threads) {
  return threads_for(8 * max64(s.x_count(), s.y_count()), threads);
}

// Calls f(plane, first, end) for blocks of `rows` rows of `columns` columns of every plane. A job
// is a part of a large plane, or several small planes.
template <class F>
void for_row_blocks(const Pool2dShape& s, int64_t rows, int64_t columns, int threads, const F& f) {
  const int64_t block = clamp64(POOL_JOB_ELEMENTS / max64(1, columns), 1, max64(1, rows));
  const int64_t blocks = ceil_div(rows, block), all = s.N * s.C * blocks;
  const int64_t together = blocks > 1 ? 1 : max64(1, POOL_JOB_ELEMENTS / max64(1, rows * columns));
  parallel_jobs(pool_threads(s, threads), ceil_div(all, together), [&](int64_t job, int) {
    for (int64_t i = job * together; i < min64((job + 1) * together, all); ++i) {
      const int64_t first = i % blocks * block;
      f(i / blocks, first, min64(first + block, rows));
    }
  });
}

// The windows of one axis that hold input i: outputs [first, end).
inline Window windows_over(const Pool2dShape& s, int64_t i, int64_t I, int64_t O, int64_t K,
                           int64_t stride, int64_t pad, int64_t dilation) {
  if (s.adaptive) return {i * O / I, ceil_div((i + 1) * O, I)};
  const int64_t after = i + pad - (K - 1) * dilation;
  return {after <= 0 ? 0 : ceil_div(after, stride), min64((i + pad) / stride + 1, O)};
}

// grad_x gathers, for any layout and windows: calls f(pixel, from, oh, ow, code, to) for every pair
// of an output `from` and an input `to` under it, both of `pixel` elements; a job owns a row of
// grad_x.
template <class T, class F>
void gather_gradient(const Pool2dShape& s, T* grad_x, int threads, const F& f) {
  const int64_t pixel = s.channels_last ? s.C : 1, planes = s.channels_last ? s.N : s.N * s.C;
  parallel_jobs(pool_threads(s, threads), planes * s.IH, [&](int64_t job, int) {
    const int64_t plane = job / s.IH, ih = job % s.IH;
    T* row = grad_x + job * s.IW * pixel;
    std::fill(row, row + s.IW * pixel, T(0));
    const Window over = windows_over(s, ih, s.IH, s.OH, s.KH, s.stride_h, s.pad_h, s.dilation_h);
    for (int64_t oh = over.first; oh < over.end; ++oh) {
      const int64_t above = ih + s.pad_h - oh * s.stride_h;
      if (above % s.dilation_h != 0) continue;
      for (int64_t ow = 0; ow < s.OW; ++ow) {
        const Window columns = s.columns(ow);
        const int64_t from = ((plane * s.OH + oh) * s.OW + ow) * pixel;
        const int64_t skipped = (columns.first - (ow * s.stride_w - s.pad_w)) / s.dilation_w;
        int64_t code = above / s.dilation_h * s.KW + skipped;
        for (int64_t iw = columns.first; iw < columns.end; iw += s.dilation_w)
          f(pixel, from, oh, ow, code++, row + iw * pixel);
      }
    }
  });
}

}  // namespace fastconv::cpu
