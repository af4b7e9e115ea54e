// Prepares weights for the products: rows [m][k] in place or packed, or packed panels [k][panel].
// Layer: cpu/gemm, for drivers.
#pragma once

#include "../common/correlation.h"
#include "../simd/table.h"
#include "patches.h"

namespace fastconv::cpu {

// backward_input sums over output channels. Filters whose output channels are far apart, and whose
// taps are neighbours, are first turned into wt[group][ic][kh][kw][oc], once for all phases.
constexpr bool turns_filters(const Conv2dShape& s) { return !s.w_channels_last && s.KH * s.KW > 1; }
constexpr Strides turned_strides(const Conv2dShape& s) {
  const int64_t OC = s.group_OC();
  return turns_filters(s) ? Strides{1, s.KH * s.KW * OC, s.KW * OC, OC} : s.w_strides();
}

// Of a sum of few_pixel_input: rows of w that are read at a time, each from a page of its own. With 256
// it is 10 % slower.
constexpr int64_t COLUMN_TERMS = 64;

// Returns whether an axis has no taps at its ends that see nothing but padding.
constexpr bool sees_all_taps(const Axis& axis) {
  const Window first = inside(axis, 0), last = inside(axis, axis.taps - 1);
  return first.first < first.end && last.first < last.end;
}

// Returns whether backward_input reads filters in place instead, with lanes of pixels, and then adds
// what each tap gives. Turning filters takes as long as their products with so many pixels. Taps that
// see nothing are multiplied too. (1 and 2 pixels, and 49 and more, were slower: docs/performance-log.md)
template <class T>
constexpr bool has_few_pixels(const Conv2dShape& s) {
  constexpr int64_t LEAST = 3, MOST = 32;
  const int64_t pixels = s.N * s.OH() * s.OW();
  return !IS_WIDENED<T> && turns_filters(s) && pixels >= LEAST && pixels <= MOST &&
         sees_all_taps(rows_axis(s)) && sees_all_taps(columns_axis(s));
}

// Maps of a few pixels: the output channels whose weights are packed at once, `bytes` each, if they are
// packed.
constexpr int64_t small_map_block(int64_t M, int64_t bytes, bool packed) {
  constexpr int64_t CHANNELS = 24;             // divided by the register tiles of each width
  constexpr int64_t BLOCK_BYTES = 256 * 1024;  // half of a 512 KiB L2
  return min64(packed && CHANNELS * bytes > BLOCK_BYTES ? CHANNELS / 2 : CHANNELS, M);
}

// Returns whether the taps of a row of a small map are one sum. This takes taps that read neighbouring
// pixels, and weights that follow each other as these do. With many channels a sum is long enough.
constexpr bool small_map_joins_taps(const Correlation& s, bool weights_in_place) {
  constexpr int64_t FEW_CHANNELS = 128,
                    MANY_PIXELS = 16;  // x of fewer pixels would be turned in bits
  return s.w.taps > 1 && (s.w.step == 1 || s.w.step == -1) && s.C <= FEW_CHANNELS &&
         s.h.source * s.w.source >= MANY_PIXELS && (!weights_in_place || s.weight.w == s.C);
}

// Returns whether the terms of one output channel follow each other in memory.
constexpr bool weight_rows_in_place(const Correlation& s, const Terms& terms) {
  const int64_t rows = s.h.taps, columns = s.w.taps, first = terms.taps_inner ? 1 : s.C;
  return (columns <= 1 || s.weight.w == first) && (rows <= 1 || s.weight.h == first * columns) &&
         (s.C <= 1 || s.weight.c == terms.c_step());
}

// to[m * to_m + k * to_k] = w[m][k] for `count` output channels and all terms. One of to_m and to_k
// is 1.
template <class T>
void move_weights(const RowKernels<T>& rows, const Correlation& s, const Terms& terms, const T* w,
                  int64_t count, SumOf<T>* to, int64_t to_m, int64_t to_k) {
  const int64_t to_c = terms.c_step() * to_k, to_tap = terms.tap_step() * to_k;
  const Strides from = s.weight;
  if (to_k == 1 && weight_rows_in_place(s, terms))
    return rows.copy_in(count, terms.count(), w, from.n, to, to_m, 0);
  if (to_m == 1 && weight_rows_in_place(s, terms))
    return rows.transpose_in(count, terms.count(), w, from.n, to, to_k);
  const bool flat_taps = (s.w.taps <= 1 || from.w == 1) && (s.h.taps <= 1 || from.h == s.w.taps);
  if (terms.taps > 1 && flat_taps && to_m == 1) {  // taps are neighbours: transpose (m, t)
    for (int64_t c = 0; c < s.C; ++c)
      rows.transpose_in(count, terms.taps, w + c * from.c, from.n, to + c * to_c, to_tap);
    return;
  }
  if (terms.taps > 1 && flat_taps && to_c == 1) {  // transpose (c, t)
    for (int64_t m = 0; m < count; ++m)
      rows.transpose_in(s.C, terms.taps, w + m * from.n, from.c, to + m * to_m, to_tap);
    return;
  }
  if ((from.c == 1 && to_m == 1) || (from.n == 1 && to_c == 1) || (from.c == 1 && to_c == 1) ||
      (from.n == 1 && to_m == 1)) {
    for (int64_t t = 0; t < terms.taps; ++t) {
      const T* in = w + t / s.w.taps * from.h + t % s.w.taps * from.w;
      SumOf<T>* out = to + t * to_tap;
      if (from.c == 1 && to_m == 1)
        rows.transpose_in(count, s.C, in, from.n, out, to_c);
      else if (from.n == 1 && to_c == 1)
        rows.transpose_in(s.C, count, in, from.c, out, to_m);
      else if (from.c == 1 && to_c == 1)
        rows.copy_in(count, s.C, in, from.n, out, to_m, 0);
      else
        rows.copy_in(s.C, count, in, from.c, out, to_c, 0);
    }
    return;
  }
  for (int64_t c = 0; c < s.C; ++c)
    for (int64_t m = 0; m < count; ++m)
      for (int64_t t = 0; t < terms.taps; ++t)
        to[m * to_m + c * to_c + t * to_tap] =
            w[m * from.n + c * from.c + t / s.w.taps * from.h + t % s.w.taps * from.w];
}

// to[m * row + k] for `count` output channels.
template <class T>
void pack_weight_rows(const RowKernels<T>& rows, const Correlation& s, const Terms& terms,
                      const T* w, int64_t count, SumOf<T>* to, int64_t row) {
  move_weights(rows, s, terms, w, count, to, row, 1);
}

// to[k][width] for the `count` output channels of a panel, where `width` is count rounded up to whole
// vectors. The other lanes are zero.
template <class T>
void pack_weight_panel(const RowKernels<T>& rows, const Correlation& s, const Terms& terms,
                       const T* w, int64_t count, SumOf<T>* to) {
  const int64_t width = round_up(count, rows.lanes);
  if (width > count)
    for (int64_t k = 0; k < terms.count(); ++k)
      for (int64_t m = count; m < width; ++m) to[k * width + m] = 0;
  move_weights(rows, s, terms, w, count, to, 1, width);
}

}  // namespace fastconv::cpu
