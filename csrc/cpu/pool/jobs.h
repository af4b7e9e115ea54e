// How the pools divide their work into jobs, the same for max and average. Layer: cpu, for drivers.
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

// Adaptive windows of equal extent tile the image, as the windows of a plain pool can.
inline Pool2dShape tiled(Pool2dShape s) {
  if (!s.adaptive || s.OH == 0 || s.OW == 0 || s.IH % s.OH != 0 || s.IW % s.OW != 0) return s;
  s.KH = s.stride_h = s.IH / s.OH;
  s.KW = s.stride_w = s.IW / s.OW;
  s.adaptive = false;
  return s;
}

// Calls f(plane, count, first, end) for rows [first, end) of `count` planes, blocks of `rows` rows of
// `columns` columns of every plane. A job is a part of one large plane, which begins at an even row,
// or several small planes.
template <class F>
void for_row_blocks(const Pool2dShape& s, int64_t rows, int64_t columns, int threads, const F& f) {
  const int64_t planes = s.N * s.C;
  if (rows * columns >= POOL_JOB_ELEMENTS) {
    const int64_t block = round_up(max64(1, POOL_JOB_ELEMENTS / max64(1, columns)), 2);
    const int64_t blocks = ceil_div(rows, block);
    parallel_jobs(pool_threads(s, threads), planes * blocks, [&](int64_t job, int) {
      const int64_t first = job % blocks * block;
      f(job / blocks, int64_t(1), first, min64(first + block, rows));
    });
    return;
  }
  const int64_t together = max64(1, POOL_JOB_ELEMENTS / max64(1, rows * columns));
  parallel_jobs(pool_threads(s, threads), ceil_div(planes, together), [&](int64_t job, int) {
    const int64_t first = job * together;
    f(first, min64(together, planes - first), int64_t(0), rows);
  });
}

// Calls f(n, row) for each of `rows` rows of every NHWC image; a job is some rows of one image.
template <class F>
void for_image_rows(const Pool2dShape& s, int64_t rows, int64_t columns, int threads, const F& f) {
  const int64_t block = clamp64(POOL_JOB_ELEMENTS / max64(1, columns * s.C), 1, max64(1, rows));
  const int64_t blocks = ceil_div(rows, block);
  parallel_jobs(pool_threads(s, threads), s.N * blocks, [&](int64_t job, int) {
    const int64_t n = job / blocks, first = job % blocks * block;
    for (int64_t row = first; row < min64(first + block, rows); ++row) f(n, row);
  });
}

}  // namespace fastconv::cpu
