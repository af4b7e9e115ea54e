// Which convolutions Winograd runs, and for which it is expected to be the fastest path (measured:
// docs/performance-log.md). Layer: cpu.
#include "winograd.h"

#include "kernels.h"

namespace fastconv::cpu {

WinogradConv winograd_forward(const Conv2dShape& s) {
  return {s.N,        s.groups,      s.group_IC(),  s.group_OC(),  s.KH,
          s.IH,       s.IW,          s.OH(),        s.OW(),        s.pad_top,
          s.pad_left, s.x_strides(), s.w_strides(), s.y_strides(), s.group_OC() * s.w_strides().n,
          false};
}

WinogradConv winograd_backward_input(const Conv2dShape& s) {
  const Strides w = s.w_strides();
  return {s.N,
          s.groups,
          s.group_OC(),
          s.group_IC(),
          s.KH,
          s.OH(),
          s.OW(),
          s.IH,
          s.IW,
          s.KH - 1 - s.pad_top,
          s.KW - 1 - s.pad_left,
          s.y_strides(),
          Strides{w.c, w.n, w.h, w.w},
          s.x_strides(),
          s.group_OC() * w.n,
          true};
}

bool winograd_runs(const Conv2dShape& s) {
  constexpr int64_t MAX_CHANNELS = 1 << 16, MAX_FILTERS = 1 << 28;  // points fit memory and int64
  return s.group_IC() <= MAX_CHANNELS && s.group_OC() <= MAX_CHANNELS &&
         product_below(MAX_FILTERS, s.OC, s.group_IC(), 1) && s.KH == s.KW &&
         (s.KH == 3 || s.KH == 5) && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 &&
         s.dilation_w == 1 && s.N > 0 && s.group_IC() > 0 && s.group_OC() > 0 && s.OH() > 0 &&
         s.OW() > 0 && s.IH > 0 && s.IW > 0;
}

namespace {

// Transforms cost C + M per tile and point, products C * M: with few channels the direct sum is
// faster. Measured over channels, maps and batches: benchmarks/results/paths-*.md.
bool enough_channels(const Conv2dShape& s, int64_t least, int64_t products) {
  const int64_t C = s.group_IC(), M = s.group_OC();
  return min64(C, M) >= least && C * M >= products;
}

// Rows that leave half the lanes of the direct kernel empty, but not most of a tile.
bool short_rows(const Conv2dShape& s) { return s.OW() > 2 && 2 * s.OW() <= kernels<float>().lanes; }

}  // namespace

bool winograd_pays(const Conv2dShape& s) {
  return enough_channels(s, s.KH == 3 && short_rows(s) ? 8 : 16, 0);
}

bool winograd_weight_pays(const Conv2dShape& s) {
  // The points of the filters are transformed back once, however few tiles there are.
  constexpr int64_t FEW_TILES = 8, MANY_PRODUCTS = 1 << 16, LEAST_WORK_5X5 = 1 << 17;
  const int64_t out = WINOGRAD_POINTS + 1 - s.KH;
  const int64_t rows = ceil_div(s.OH(), out), columns = ceil_div(s.OW(), out);
  if (s.KH == 5)
    return enough_channels(s, 16, 512) &&
           !product_below(LEAST_WORK_5X5, s.N * rows * columns, s.group_IC(), s.group_OC());
  const bool few = product_below(FEW_TILES, s.N, rows, columns);
  return enough_channels(s, 16, few ? MANY_PRODUCTS : 0);
}

}  // namespace fastconv::cpu
