// A band is the source rows under a few output rows of one image, copied into scratch with their
// padding. Leaf kernels then need no bounds checks, and every tap has a constant offset.
// Layer: cpu/direct, for drivers.
#pragma once

#include <cstdint>
#include <cstring>

#include "../../core/dtype.h"
#include "../../core/shape.h"
#include "../common/correlation.h"
#include "../simd/table.h"

namespace fastconv::cpu {

// packed[c][r][phase][q] = x[c][row_min + i0 * stride_h + r][col_min + q * stride_w + phase], or 0
// outside x. Columns are split by stride phase, so that neighbouring outputs read neighbouring
// elements at any stride: output column j reads tap b in phase (col_b - col_min) % stride_w, at q =
// (col_b - col_min) / stride_w + j.
struct Band {
  int64_t C;
  Strides x;
  Axis h, w;
  int64_t rows;  // output rows of a band that is not the last

  constexpr int64_t bands() const { return ceil_div(h.outputs, rows); }
  constexpr int64_t taps() const { return C * h.taps * w.taps; }
  constexpr int64_t phases() const { return min64(w.stride, w.span()); }
  constexpr int64_t pitch() const { return w.outputs - 1 + (w.span() - 1) / w.stride + 1; }
  constexpr int64_t row_pitch() const { return phases() * pitch(); }
  constexpr int64_t source_rows(int64_t output_rows) const {
    return (output_rows - 1) * h.stride + h.span();
  }
  constexpr int64_t plane() const { return source_rows(rows) * row_pitch(); }
  constexpr int64_t count() const { return C * plane(); }
  // Packed elements between vertical neighbours of the output.
  constexpr int64_t output_row() const { return h.stride * row_pitch(); }
  constexpr int64_t column_offset(int64_t b) const {
    const int64_t column = w.first + b * w.step - w.lowest_tap();
    return column % w.stride * pitch() + column / w.stride;
  }
  constexpr int64_t tap_offset(int64_t c, int64_t a, int64_t b) const {
    return c * plane() + (h.first + a * h.step - h.lowest_tap()) * row_pitch() + column_offset(b);
  }
};

// Returns the output rows of a band for which the packed band has at most `elements` elements, or
// 1.
constexpr int64_t band_rows(const Band& one_row, int64_t elements) {
  const int64_t row = max64(1, one_row.C * one_row.row_pitch());
  const int64_t source_rows = elements / row;
  return clamp64((source_rows - one_row.h.span()) / one_row.h.stride + 1, 1,
                 max64(1, one_row.h.outputs));
}

// Returns whether offsets into a band of one row, the smallest band, fit int32. Strides, dilations
// and padding take no memory of the tensors, so they may have any value.
constexpr bool band_is_short(const Band& one_row) {
  constexpr int64_t LIMIT = int64_t(1) << 30;
  const int64_t rows = one_row.source_rows(1);
  return product_below(LIMIT, one_row.C, one_row.h.taps, one_row.w.taps) &&
         product_below(LIMIT, one_row.phases(), one_row.pitch(), 1) &&
         product_below(LIMIT, max64(1, one_row.C), rows, one_row.row_pitch());
}

// Fills the table of the offsets of all taps in the order c, a, b. With a table, one loop serves
// every stride and dilation.
inline void fill_tap_offsets(const Band& band, int32_t* tap) {
  for (int64_t c = 0; c < band.C; ++c)
    for (int64_t a = 0; a < band.h.taps; ++a)
      for (int64_t b = 0; b < band.w.taps; ++b)
        *tap++ = static_cast<int32_t>(band.tap_offset(c, a, b));
}

// Returns the elements q of one phase of a packed row that lie inside the image.
constexpr Window inside_columns(const Band& band, int64_t phase) {
  const int64_t start = band.w.lowest_tap() + phase;
  const int64_t end = clamp64(ceil_div(band.w.source - start, band.w.stride), 0, band.pitch());
  return {clamp64(ceil_div(-start, band.w.stride), 0, end), end};
}

// to[q] = from[q * stride]
template <class T>
void copy_columns(const RowKernels<T>& k, int64_t count, const T* from, int64_t stride,
                  SumOf<T>* to) {
  if constexpr (IS_WIDENED<T>) {
    if (stride == 1) return k.copy_in(1, count, from, 0, to, 0, 0);
  } else {
    if (stride == 1) return void(std::memcpy(to, from, count * sizeof(T)));
    if (stride == 2) return k.every_second(count, from, to);
  }
  for (int64_t q = 0; q < count; ++q) to[q] = SumOf<T>(from[q * stride]);
}

// Packs the rows under the output rows i0 .. i0 + output_rows - 1 of the image x. Pixels outside
// the image, and rows of the band under no output row, are zero.
template <class T>
void pack_band(const Band& band, const T* x, int64_t i0, int64_t output_rows, SumOf<T>* packed) {
  using Sum = SumOf<T>;
  const RowKernels<T>& k = row_kernels<T>(isa());
  const int64_t pitch = band.pitch(), stride = band.w.stride;
  const auto fill = [](Sum* from, Sum* to) {
    while (from < to) *from++ = 0;
  };
  for (int64_t r = 0; r < band.source_rows(band.rows); ++r) {
    const int64_t ih = i0 * band.h.stride + band.h.lowest_tap() + r;
    const bool outside = ih < 0 || ih >= band.h.source || r >= band.source_rows(output_rows);
    for (int64_t phase = 0; phase < band.phases(); ++phase) {
      const Window inside = outside ? Window{0, 0} : inside_columns(band, phase);
      const int64_t count = inside.end - inside.first;
      const int64_t iw = band.w.lowest_tap() + phase + inside.first * stride;
      const T* from = x + ih * band.x.h + iw * band.x.w;
      Sum* row = packed + r * band.row_pitch() + phase * pitch;
      for (int64_t c = 0; c < band.C; ++c) {
        Sum* to = row + c * band.plane();
        fill(to, to + inside.first);
        fill(to + inside.end, to + pitch);
        if (count <= 0 || band.x.w != 1) continue;
        copy_columns(k, count, from + c * band.x.c, stride, to + inside.first);
      }
      if (count > 0 && band.x.w != 1)  // NHWC: a (columns, channels) matrix
        k.transpose_in(count, band.C, from, band.x.w * stride, row + inside.first, band.plane());
    }
  }
}

}  // namespace fastconv::cpu
