// What the pools share: the packed rows of an NCHW plane (band.h with one channel) and tables over
// output columns, all in one workspace. Layer: cpu, for drivers.
#pragma once

#include <cstdint>

#include "../shape.h"
#include "band.h"
#include "kernels.h"
#include "parallel.h"
#include "workspace.h"

namespace fastconv::cpu {

constexpr int64_t POOL_BAND_BYTES = 16 * 1024;  // half of L1

inline int pool_threads(const Pool2dShape& s, int threads) {
  return threads_for(s.y_count() * (s.adaptive ? 1 : s.KH * s.KW) * 8, threads);
}

// Adaptive windows have no constant stride; they are summed where they lie.
constexpr bool pool_packs(const Pool2dShape& s) { return !s.adaptive && !s.channels_last; }

// One plane. Rows are packed only inside the image: the window rows outside are skipped by the
// driver.
constexpr Band pool_band(const Pool2dShape& s, int64_t element_bytes) {
  Band band{1, Strides{0, 0, s.IW, 1}, Axis{s.IH, s.OH, s.stride_h, s.KH, -s.pad_h, s.dilation_h},
            Axis{s.IW, s.OW, s.stride_w, s.KW, -s.pad_w, s.dilation_w}, 1};
  band.rows = band_rows(band, POOL_BAND_BYTES / element_bytes);
  return band;
}

template <class T>
struct PoolBuffers {
  int32_t* column;               // [KW]
  LaneInteger<T>* first_column;  // [OW], max
  LaneInteger<T>* start_column;  // [OW], max
  T* column_divisor;             // [OW], avg
  T* scratch;                    // [threads][scratch_count]
  int64_t scratch_count;
  int64_t bytes;

  PoolBuffers(const Pool2dShape& s, const Band& band, int threads, void* base) {
    const int64_t lanes = kernels<T>().lanes, columns = s.OW + lanes;
    Workspace workspace(base);
    column = workspace.take<int32_t>(s.KW);
    first_column = workspace.take<LaneInteger<T>>(columns);
    start_column = workspace.take<LaneInteger<T>>(columns);
    column_divisor = workspace.take<T>(columns);
    // Forward packs a band; avg backward keeps one row of quotients and one packed row of sums.
    scratch_count = round_up(band.count() + s.OW + s.IW + 2 * lanes, CACHE_LINE);
    scratch = workspace.take<T>(threads * scratch_count);
    bytes = workspace.bytes();
  }

  void fill_tables(const Pool2dShape& s, const Band& band) const {
    for (int64_t kw = 0; kw < s.KW; ++kw) column[kw] = static_cast<int32_t>(band.column_offset(kw));
    for (int64_t ow = 0; ow < s.OW + kernels<T>().lanes; ++ow) {
      const int64_t o = min64(ow, s.OW - 1);  // lanes behind the last are computed but not stored
      first_column[ow] = static_cast<LaneInteger<T>>(s.columns(o).first);
      start_column[ow] = static_cast<LaneInteger<T>>(o * s.stride_w - s.pad_w);
      column_divisor[ow] = static_cast<T>(s.divisor_override ? 1 : s.columns_divisor(o));
    }
  }
};

// Calls f(packed, plane, oh, first, kh0, rows) for every output row: `packed` points at window row
// `first`, the kh0-th, of `rows` inside the image. Bands of all planes are the jobs.
template <class T, class F>
void for_each_packed_row(const Pool2dShape& s, const Band& band, const PoolBuffers<T>& b,
                         int threads, const T* x, T padding, const F& f) {
  parallel_jobs(threads, s.N * s.C * band.bands(), [&](int64_t job, int thread) {
    const int64_t plane = job / band.bands(), i0 = job % band.bands() * band.rows;
    const int64_t rows = min64(band.rows, s.OH - i0);
    T* packed = b.scratch + thread * b.scratch_count;
    pack_band(band, x + plane * s.IH * s.IW, i0, rows, padding, packed);
    for (int64_t oh = i0; oh < i0 + rows; ++oh) {
      const Window inside = s.rows(oh);
      const int64_t kh0 = (inside.first - (oh * s.stride_h - s.pad_h)) / s.dilation_h;
      const int64_t count = max64(0, ceil_div(inside.end - inside.first, s.dilation_h));
      const T* at = packed + (oh - i0) * band.output_row() + kh0 * s.dilation_h * band.row_pitch();
      f(at, plane, oh, inside.first, count);
    }
  });
}

}  // namespace fastconv::cpu
