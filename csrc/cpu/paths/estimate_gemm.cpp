// How long GEMM convolution takes: counts of what csrc/cpu/gemm/correlate.cpp and weight.cpp do, in
// their own cuts of terms and panels. Layer: cpu/paths.
#include "../common/correlation.h"
#include "../gemm/apart.h"
#include "../gemm/pairs/table.h"
#include "../gemm/patches.h"
#include "../gemm/product.h"
#include "../gemm/schedule.h"
#include "../gemm/weight_few_pixels.h"
#include "../gemm/weights.h"
#include "estimates.h"

namespace fastconv::cpu {
namespace {

using namespace gemm_work;
using Times = double[KINDS];
constexpr double RUN = 16;  // weights that are copied at once

template <class T>
struct GemmCounts {
  using Sum = typename Element<T>::Sum;
  const Machine m = Machine::of<T>();
  const ProductKernels<Sum>& k = product_kernels<Sum>(isa());
  const int64_t panel = ProductKernels<Sum>::STRIDED_VECTORS * m.lanes;
  const int64_t longest = min64(LONGEST_SUM, PANEL_BYTES / m.bytes / panel);

  // Slots of one term of a product.
  double slots(int64_t rows, int64_t vectors) const {
    return double(tile_slots(k, rows, vectors, int64_t(m.least)));
  }
  // The same for all panels of `columns`.
  double slots_of_panels(int64_t rows, int64_t columns) const {
    const PanelCut cut(columns, m.lanes, ProductKernels<Sum>::STRIDED_VECTORS);
    double sum = 0;
    for (int64_t i = 0; i < cut.panels; ++i) sum += slots(rows, cut.width(i) / m.lanes);
    return sum;
  }
  // Rows of patches for `pixels` pixels, `width` in a row, of `terms` terms: copies of pieces.
  void pack_rows(const Correlation& s, double terms, double taps, int64_t pixels, int64_t width,
                 double weight, Times& t) const {
    const double rows = double(ceil_div(pixels, width));
    const double vectors = double(ceil_div(pixels, m.lanes));
    const bool plain = s.h.taps * s.w.taps == 1 && s.h.stride == 1 && s.w.stride == 1;
    const bool whole = plain && s.w.source == s.w.outputs && s.h.source == s.h.outputs &&
                       s.w.first == 0 && s.h.first == 0;
    double pieces = 1 + double(width - 1) / (whole ? s.w.outputs * s.h.outputs : s.w.outputs);
    int64_t edges = 0;  // taps that see padding at the ends of a row
    for (int64_t b = 0; b < s.w.taps; ++b) {
      const Window seen = inside(s.w, b);
      edges += (seen.first > 0) + (seen.end < s.w.outputs);
    }
    pieces *= 1 + double(edges) / max64(1, s.w.taps);
    t[ROW] += weight * taps * rows * pieces;
    t[PIECE] += weight * terms * rows * pieces;
    const int64_t step = s.w.stride * s.x.w;
    if (step == 1)
      t[COPIED] += weight * terms * vectors;
    else if (step == 2)
      t[SECOND] += weight * terms * vectors;
    else
      t[GATHERED] += weight * terms * pixels;
  }

  // Products of `taps` taps that read the pixels where they lie (gemm/in_place.h).
  void in_place(const Correlation& s, const PanelCut& panels, int64_t taps, int64_t chunks,
                double weight, Times& t) const {
    const double pixels = double(s.N) * s.h.outputs * s.w.outputs;
    const bool even = reads_evenly(s);
    const double sums = double(max64(chunks, s.h.taps * ceil_div(s.w.taps, taps)));
    const double rows = even ? ceil_div(int64_t(pixels), BLOCK_PIXELS) : double(s.N) * s.h.outputs;
    const double slots = even ? pixels / BLOCK_PIXELS * panel_slots(k, panels, BLOCK_PIXELS)
                              : double(s.N) * slots_in_place(k, s, panels, taps);
    t[SLOT] += weight * s.C * slots;
    t[PRODUCT] += weight * rows * sums * panels.panels;
    t[RESULT] += weight * pixels * panels.vectors() * sums;
    // Every pixel comes once from memory.
    const double read = pixels * s.h.taps * s.w.taps, all = double(s.N) * s.h.source * s.w.source;
    t[COPIED] += weight * (read < all ? read : all) * ceil_div(s.C, m.lanes);
  }

  // `direct`: whether register tiles may write to y.
  void correlation(const Correlation& unclipped, double weight, Times& t,
                   bool direct = true) const {
    const Correlation s = clipped(unclipped).correlation;
    const int64_t pixels = s.N * s.h.outputs * s.w.outputs, G = s.groups;
    const bool channel_lanes = s.y.c == 1 && s.M > 1;
    const Terms terms{s.C, s.h.taps * s.w.taps, !channel_lanes && s.weight.c != 1};
    if (pixels == 0) return;
    weight *= G;
    const int64_t chunks = TermChunks(terms, longest).count();
    const double packed = double(G) * s.M * terms.count() * m.bytes;  // weights
    const int64_t shares = ceil_div(s.M, M_SHARE), blocks = ceil_div(pixels, BLOCK_PIXELS);
    if (channel_lanes) {
      const int64_t vectors = ceil_div(s.M, m.lanes);
      const bool to_y = direct && chunks == 1 && s.M % m.lanes == 0;
      t[WRITTEN] += to_y ? 0 : weight * pixels * vectors;
      if (chunks == 0) t[EMPTY] += weight * pixels * s.M;
      if (chunks == 0) return;
      t[PACKED] += weight * s.M * terms.count();
      t[FAR_LINE] += weight / G * (far_lines(weight_bytes(s, m.bytes)) + far_lines(packed, blocks));
      if (s.weight.n == 1) t[WEIGHT_RUN] += weight * terms.count() * ceil_div(vectors, 3);
      const PanelCut cut(s.M, m.lanes, ProductKernels<Sum>::STRIDED_VECTORS);
      const int64_t taps = IS_WIDENED<T> ? 0 : taps_in_place(k, s, cut, longest);
      if (taps > 0) return in_place(s, cut, taps, chunks, weight, t);
      const int64_t full = pixels / BLOCK_PIXELS, rest = pixels % BLOCK_PIXELS;
      const double of_term = full * slots_of_panels(BLOCK_PIXELS, s.M) + slots_of_panels(rest, s.M);
      t[SLOT] += weight * terms.count() * of_term;
      // Products that write to y are one for each row of it.
      const int64_t products = to_y ? blocks + pixels / s.w.outputs : blocks * chunks;
      t[PRODUCT] += weight * products * ceil_div(vectors, 3);
      t[RESULT] += weight * pixels * vectors * chunks;
      const bool whole_rows = s.x.c == 1 && s.C <= longest && s.w.step * s.x.w == s.C;
      if (s.x.c == 1) {
        t[COPY] += weight * shares * pixels * (whole_rows ? s.h.taps : terms.taps) *
                   ceil_div(s.C, longest);
        t[COPIED] += weight * shares * pixels * ceil_div(terms.count(), m.lanes);
      } else {
        t[GATHERED] += weight * shares * pixels * terms.count();
      }
      return;
    }
    const double vectors = double(ceil_div(pixels, m.lanes));
    t[WRITTEN] += weight * s.M * vectors;
    if (chunks == 0) t[EMPTY] += weight * pixels * s.M;
    if (chunks == 0) return;
    const double of_term = pixels / panel * slots(s.M, panel / m.lanes) +
                           (pixels % panel ? slots_of_panels(s.M, pixels % panel) : 0);
    t[SLOT] += weight * terms.count() * of_term;
    t[PRODUCT] += weight * chunks * ceil_div(pixels, panel) * ceil_div(s.M, M_BLOCK);
    t[RESULT] += weight * s.M * vectors * chunks;
    pack_rows(s, terms.count(), terms.taps, pixels, panel, weight * shares, t);
    const double weights = weight * s.M * terms.count();
    const double panels = double(ceil_div(pixels, panel));
    if (!weight_rows_in_place(s, terms)) {
      t[PACKED] += weights;
      t[FAR_LINE] += weight / G * (far_lines(weight_bytes(s, m.bytes)) + far_lines(packed, panels));
      if (s.weight.n == 1) t[WEIGHT_RUN] += weights / RUN;
    } else {
      t[FAR_LINE] += weight / G * far_lines(weight_bytes(s, m.bytes), panels);
      if (s.weight.n * m.bytes % PAGE_BYTES == 0) t[PAGE_WEIGHT] += weights * panels;
    }
  }

  // ../gemm/input_few_pixels.cpp
  void few_pixels_input(const Conv2dShape& s, Times& t) const {
    const int64_t pixels = s.N * s.OH() * s.OW(), terms = s.terms();
    const PanelCut panels(pixels, m.lanes, ProductKernels<Sum>::STRIDED_VECTORS);
    const double G = double(s.groups), OC = double(s.group_OC());
    const double sums = G * ceil_div(s.group_OC(), COLUMN_TERMS);
    t[SLOT] += G * OC * slots_of_panels(terms, pixels);
    t[PRODUCT] += sums * panels.panels;
    t[RESULT] += sums * terms * panels.vectors();
    t[GATHERED] += G * terms * pixels;  // added to grad_x
    t[FAR_LINE] += far_lines(double(s.w_count()) * m.bytes);
    if (terms * m.bytes >= PAGE_BYTES) t[PAGE_WEIGHT] += double(s.w_count()) * panels.panels;
  }

  // ../gemm/weight_few_pixels.h
  void few_pixels_weight(const Conv2dShape& shape, Times& t) const {
    const Correlation s = forward_correlation(shape);
    const double pixels = double(shape.N) * s.h.outputs * s.w.outputs, G = double(s.groups);
    const int64_t taps = s.h.taps * s.w.taps, terms = s.C * taps,
                  vectors = ceil_div(terms, m.lanes);
    const double rows = G * s.M, tiles = rows / FEW_PIXEL_ROWS;
    t[SLOT] += pixels * G * slots_of_panels(s.M, terms);
    t[PRODUCT] += tiles * ceil_div(vectors, 3);
    t[RESULT] += rows * vectors;
    if (s.x.c == 1)
      t[COPY] += G * pixels * taps, t[COPIED] += G * pixels * vectors;
    else
      t[GATHERED] += G * pixels * terms;
    t[GRAD_TURNED] += pixels * rows;
    t[FAR_LINE] += far_lines(rows * terms * m.bytes);
  }

  // One product of all phases, and the zeros that it leaves out.
  void apart(const Conv2dShape& s, Times& t) const {
    const Correlation product = apart_correlation(s);
    correlation(product, 1, t, apart_cut(s).direct);
    const double sums = double(s.N) * s.OH() * s.OW() * s.groups * product.M;
    const double zeros = double(s.x_count()) - sums;
    if (s.x_channels_last && zeros > 0) t[WRITTEN] += zeros / m.lanes;
    if (!s.x_channels_last) t[ALTERNATE] += double(s.x_count());
  }

  void backward_weight(const Conv2dShape& shape, Times& t) const {
    if (few_pixels(shape)) return few_pixels_weight(shape, t);
    const Correlation s = forward_correlation(shape);
    const int64_t pixels = s.N * s.h.outputs * s.w.outputs, G = s.groups;
    const bool pixels_inner = s.x.c != 1;
    const Terms terms{s.C, s.h.taps * s.w.taps, pixels_inner};
    const int64_t blocks = max64(1, TermChunks(terms, WEIGHT_TERMS).count());
    const int64_t chunk = min64(longest, round_up(pixels, m.lanes));
    const int64_t chunks = ceil_div(pixels, chunk), vectors = ceil_div(s.M, m.lanes);
    const int64_t of_block = ceil_div(terms.count(), blocks);
    t[SLOT] += double(G) * pixels * terms.count() / of_block * slots_of_panels(of_block, s.M);
    t[PRODUCT] += double(G) * chunks * blocks * ceil_div(vectors, 3);
    t[RESULT] += double(G) * chunks * terms.count() * vectors;
    if (pixels_inner) {
      pack_rows(s, terms.count(), terms.taps, pixels, chunk, G, t);
      t[GRAD_TURNED] += double(G) * pixels * s.M;
    } else {
      const bool whole_rows = s.C <= WEIGHT_TERMS && s.w.step * s.x.w == s.C;
      t[COPY] += double(G) * pixels * (whole_rows ? s.h.taps : terms.taps) *
                 (whole_rows ? 1 : ceil_div(s.C, WEIGHT_TERMS));
      t[COPIED] += double(G) * pixels * ceil_div(terms.count(), m.lanes);
      t[COPY] += double(G) * pixels * ceil_div(vectors, 3);
    }
    t[PACKED] += double(G) * terms.count() * s.M;
    t[FAR_LINE] += far_lines(double(G) * terms.count() * s.M * m.bytes, 2);  // sums, grad_w
    // Runs of weights that are written at once.
    const int64_t runs =
        s.weight.c == 1 ? terms.taps : ceil_div(s.C, max64(1, WEIGHT_TERMS / terms.taps));
    if (far(s)) t[FAR] += double(G) * s.M * runs;
  }
  // Whether neighbouring output channels of w lie on pages of their own, more than a core knows.
  bool far(const Correlation& s) const {
    constexpr int64_t PAGES = 64;
    return s.weight.n * m.bytes >= PAGE_BYTES / 2 && s.M >= PAGES;
  }
};

}  // namespace

template <class T, Direction DIRECTION>
Estimate estimate_gemm(const Conv2dShape& s) {
  const GemmCounts<T> counts;
  Times t = {};
  if (DIRECTION == Direction::forward) counts.correlation(forward_correlation(s), 1, t);
  if (DIRECTION == Direction::backward_weight) counts.backward_weight(s, t);
  if (DIRECTION == Direction::backward_input && has_few_pixels<T>(s)) {
    counts.few_pixels_input(s, t);
  } else if (DIRECTION == Direction::backward_input && filters_apart(s)) {
    counts.apart(s, t);
  } else if (DIRECTION == Direction::backward_input) {
    const double weights = double(s.w_count());
    if (turns_filters(s)) {
      t[TURNED] += weights;
      t[FAR_LINE] += far_lines(weights * sizeof(T), 2);
    }
    for_some_phases(s, [&](int64_t r_h, int64_t r_w, double weight) {
      counts.correlation(phase_correlation(s, turned_strides(s), r_h, r_w).correlation, weight, t);
    });
    if (s.stride_w > 1 && !s.x_channels_last) t[ALTERNATE] += s.x_count();
  }
  if (GemmProduct<T>().in_pairs()) t[SLOT] *= PAIRED_SLOT;
  return estimate_of(GEMM_COSTS, t);
}

#define INSTANTIATE(T)                                                               \
  template Estimate estimate_gemm<T, Direction::forward>(const Conv2dShape&);        \
  template Estimate estimate_gemm<T, Direction::backward_input>(const Conv2dShape&); \
  template Estimate estimate_gemm<T, Direction::backward_weight>(const Conv2dShape&);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
