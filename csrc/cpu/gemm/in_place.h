// When GEMM convolution with lanes of channels reads the pixels of x where they lie, instead of packing
// them. Layer: cpu/gemm, for its driver.
#pragma once

#include "../common/correlation.h"
#include "product.h"

namespace fastconv::cpu {

// A product sums the channels of one tap, or of a row of taps that are neighbours in memory, and its
// rows are the pixels of a row of y:
//
//   x  | c .. c | c .. c | c .. c | c .. c |      K = 3 C: taps of pixel j, from column j * stride on
//   j      0        1        2                    the next pixel is stride * C elements further
//
// Pixels at the ends of a row, some of whose taps lie outside the image, have products of their own.
constexpr bool sees_all(const Axis& axis, int64_t tap) {
  const Window seen = inside(axis, tap);
  return seen.first == 0 && seen.end == axis.outputs;
}
// Whether the only tap sees a pixel from every output, so that its product begins every sum.
constexpr bool has_one_tap(const Correlation& s) {
  return s.h.taps * s.w.taps == 1 && sees_all(s.h, 0) && sees_all(s.w, 0);
}
// Whether the pixels of all images are equally far apart.
constexpr bool is_even(const Strides& s, int64_t H, int64_t W) {
  return s.h == W * s.w && s.n == H * s.h;
}
constexpr bool reads_evenly(const Correlation& s) {
  return has_one_tap(s) && s.h.stride == 1 && s.w.stride == 1 && s.h.source == s.h.outputs &&
         s.w.source == s.w.outputs && is_even(s.x, s.h.source, s.w.source);
}

// Slots of one term: multiply-adds of vectors. A tile with fewer sums takes as long as one of `least`.
template <class T>
int64_t tile_slots(const ProductKernels<T>& k, int64_t rows, int64_t vectors, int64_t least) {
  int64_t sum = 0;
  for (int tile = 0; rows > 0; ++tile) {
    const int64_t of_tile = k.strided_rows[vectors - 1][tile], tiles = rows / of_tile;
    sum += tiles * max64(of_tile * vectors, least);
    rows -= tiles * of_tile;
  }
  return sum;
}

// Slots of one term for `rows` pixels, with all panels. There are panels of two widths.
template <class T>
double panel_slots(const ProductKernels<T>& k, const PanelCut& panels, int64_t rows) {
  const int64_t least = least_sums(panels.lanes * int64_t(sizeof(SumOf<T>)));
  const int64_t narrow = panels.vectors() / panels.panels, wide = panels.vectors() % panels.panels;
  const int64_t of_wide = wide > 0 ? wide * tile_slots(k, rows, narrow + 1, least) : 0;
  return double(of_wide + (panels.panels - wide) * tile_slots(k, rows, narrow, least));
}

// Slots of one channel of an image, with products of `taps` taps of a row: taps outside the image have
// none.
template <class T>
double slots_in_place(const ProductKernels<T>& k, const Correlation& s, const PanelCut& panels,
                      int64_t taps) {
  double rows = 0, columns = 0;
  for (int64_t a = 0; a < s.h.taps; ++a) {
    const Window seen = inside(s.h, a);
    rows += double(seen.end - seen.first);
  }
  for (int64_t b = 0; b < s.w.taps; b += taps) {
    const Window first = inside(s.w, b), last = inside(s.w, b + taps - 1);
    const int64_t whole = max64(0, min64(first.end, last.end) - max64(first.first, last.first));
    const double ends = taps > 1 ? double(s.w.outputs - whole) * panel_slots(k, panels, 1) : 0;
    columns += double(taps) * (panel_slots(k, panels, whole) + ends);
  }
  return rows * columns;
}

// How many taps of a row a product sums: 1 or all; 0 if packing takes less time. There is no copy then, but
// a sum goes to c for every product instead of every chunk of `longest` terms, and rows of pixels may
// not fill the register tiles. It depends on the shape alone, for it changes the order of sums.
template <class T>
int64_t taps_in_place(const ProductKernels<T>& k, const Correlation& s, const PanelCut& panels,
                      int64_t longest) {
  constexpr double COPY = 5, ADD = 3;   // slots of a vector that is copied, or added to c
  constexpr int64_t PIXELS = 192;       // of a block that is packed
  constexpr int64_t MOST_BYTES = 2048;  // between pixels: those 4 KiB apart share few lines of L2
  const int64_t terms = s.C * s.h.taps * s.w.taps, pixels = s.h.outputs * s.w.outputs;
  const int64_t apart = s.w.stride * s.x.w * int64_t(sizeof(SumOf<T>));
  if (s.x.c != 1 || terms * pixels == 0 || apart > MOST_BYTES) return 0;
  const double of_block = panel_slots(k, panels, PIXELS) / PIXELS;
  const auto time = [&](int64_t taps) {  // of a term of a pixel
    const int64_t K = min64(longest, s.C * min64(taps, max64(1, longest / s.C)));
    const double adds = ADD * double(panels.vectors()) * (1 / double(K) - 1 / double(longest));
    if (reads_evenly(s)) return of_block + adds;
    return slots_in_place(k, s, panels, taps) / double(terms / s.C * pixels) + adds;
  };
  const bool neighbours = s.w.step * s.x.w == s.C && s.w.taps > 1;
  const double packed = of_block + COPY / double(panels.lanes);
  const double single = time(1), row = neighbours ? time(s.w.taps) : single;
  if (single >= packed && row >= packed) return 0;
  return row < single ? s.w.taps : 1;
}

}  // namespace fastconv::cpu
