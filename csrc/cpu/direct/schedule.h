// How direct convolution cuts its work, for its drivers and its estimate. Layer: cpu/direct.
#pragma once

#include "../common/weight_bands.h"
#include "band.h"
#include "table.h"

namespace fastconv::cpu {

constexpr int64_t BAND_BYTES = 256 * 1024;         // half of a 512 KiB L2
constexpr int64_t WEIGHT_BAND_BYTES = 192 * 1024;  // the bands of x and of grad_y fit a 512 KiB L2

// Returns whether the lanes of a register tile hold output channels instead of pixels of a row
// (tiles.inl). The form that wastes fewer lanes runs. The weights of the comparison:
//   15 %          NCHW outputs, because a tile of channels has to be transposed
//   10 %          one vector of channels, because each multiply-add takes a load
//   8 / pixels    one vector of channels and fewer than 8 pixels, because sums are too few
template <class T>
bool channel_lanes(const Correlation& s, const DirectKernels<T>& k, int64_t lanes) {
  const int64_t J = s.w.outputs, tiles = ceil_div(J, k.channel_pixels);
  if (s.y.w == 1 && s.y.c == 1) return J < s.M;
  double channels = double(round_up(s.M, lanes)) / s.M;
  const double pixels = double(round_up(J, lanes)) / J;
  if (s.M <= lanes) channels *= 8 * tiles > J ? 8.0 * tiles / J : 1.1;
  return s.y.w == 1 ? 1.15 * channels < pixels : channels < 1.3 * pixels;
}

// Returns whether the lanes of backward_weight hold pixels of a row instead of output channels: where
// these would waste more lanes. A vector of pixels takes a load for each tap, which counts as 10 %
// (measured, docs/performance-log.md).
constexpr bool weight_pixel_lanes(const Conv2dShape& s, int64_t lanes) {
  constexpr double LOADS = 1.1;
  const double channels = double(round_up(s.group_OC(), lanes)) / s.group_OC();
  return LOADS * round_up(s.OW(), lanes) / s.OW() < channels;
}

// The band of one output row of backward_weight.
constexpr Band weight_row(const Conv2dShape& s) {
  return Band{s.group_IC(), s.x_strides(), rows_axis(s), columns_axis(s), 1};
}
// The bands that backward_weight sums over; `bytes`: of an element of a sum.
constexpr Band weight_band(const Conv2dShape& s, int64_t bytes) {
  Band band = weight_row(s);
  band.rows = min64(band_rows(band, WEIGHT_BAND_BYTES / bytes), max64(1, BAND_PIXELS / s.OW()));
  return band;
}

}  // namespace fastconv::cpu
