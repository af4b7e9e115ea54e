// Winograd as a path of each direction: the shapes that it supports, and the shapes for which it is
// profitable (measured: docs/kernels/winograd.md). Layer: cpu/winograd.
#include "../../core/dtype.h"
#include "../simd/table.h"
#include "winograd.h"

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

namespace {

WhyNot supports(const Conv2dShape& s) {
  constexpr int64_t MAX_CHANNELS = 1 << 16, MAX_FILTERS = 1 << 28;  // points fit memory and int64
  if (s.KH != s.KW || (s.KH != 3 && s.KH != 5)) return "the filter is not 3x3 or 5x5";
  if (s.stride_h != 1 || s.stride_w != 1) return "the stride is not 1";
  if (s.dilation_h != 1 || s.dilation_w != 1) return "the filter is dilated";
  if (s.x_count() == 0 || s.y_count() == 0 || s.w_count() == 0) return "a tensor is empty";
  if (max64(s.group_IC(), s.group_OC()) > MAX_CHANNELS ||
      !product_below(MAX_FILTERS, s.OC, s.group_IC(), 1))
    return "there are too many channels";
  return HOLDS;
}

// Transforms cost C + M per tile and point, products C * M. With few channels the direct sum is
// therefore faster. Measured over channels, maps and batches: benchmarks/results/paths-*.md.
constexpr int64_t LEAST_CHANNELS = 16, LEAST_CHANNELS_SHORT_ROWS = 8;
constexpr WhyNot FEW_CHANNELS = "there are fewer than 16 channels in or out of a group";

bool enough_channels(const Conv2dShape& s, int64_t least, int64_t products) {
  const int64_t C = s.group_IC(), M = s.group_OC();
  return min64(C, M) >= least && C * M >= products;
}

// Returns whether rows are so short that they leave half the lanes of the direct kernel empty, and
// so long that they fill most of a tile.
template <class T>
bool short_rows(const Conv2dShape& s) {
  return s.OW() > 2 && 2 * s.OW() <= row_kernels<T>(isa()).lanes;
}

int64_t tiles(const Conv2dShape& s) {
  const int64_t out = outputs_of_tile(s.KH);
  return s.N * ceil_div(s.OH(), out) * ceil_div(s.OW(), out);
}

template <class T>
WhyNot is_profitable(const Conv2dShape& s) {
  if (s.KH == 3 && tiles(s) == 1)
    return "there is one tile, and every filter is transformed for it";
  const bool few_suffice = s.KH == 3 && short_rows<T>(s);
  const int64_t least = few_suffice ? LEAST_CHANNELS_SHORT_ROWS : LEAST_CHANNELS;
  if (enough_channels(s, least, 0)) return HOLDS;
  return few_suffice ? "there are fewer than 8 channels in or out of a group" : FEW_CHANNELS;
}

WhyNot is_weight_profitable(const Conv2dShape& s) {
  // The inverse transform of the filters takes the same time however few tiles there are.
  constexpr int64_t FEW_TILES = 8, LEAST_WORK_5X5 = 1 << 17, LEAST_PRODUCTS_5X5 = 512;
  if (!enough_channels(s, LEAST_CHANNELS, 0)) return FEW_CHANNELS;
  if (s.KH == 5) {
    if (!enough_channels(s, 0, LEAST_PRODUCTS_5X5))
      return "there are fewer than 512 products of channels, with a 5x5 filter";
    if (product_below(LEAST_WORK_5X5, tiles(s), s.group_IC(), s.group_OC()))
      return "there are fewer than 2^17 products of channels and tiles, with a 5x5 filter";
    return HOLDS;
  }
  return tiles(s) < FEW_TILES ? "there are fewer than 8 tiles" : HOLDS;
}

template <class T, bool READY_FILTERS>
int64_t forward_bytes(const Conv2dShape& s, const Context& context) {
  return winograd_workspace_bytes<T>(winograd_forward(s), context.threads, READY_FILTERS);
}
template <class T>
bool run_forward(const Conv2dShape& s, const ForwardBuffers<T>& b, void* workspace,
                 const Context& context) {
  const WinogradBuffers<T> buffers{b.x, b.w, b.bias, b.y, b.filters};
  return winograd(winograd_forward(s), buffers, workspace, context.threads);
}

template <class T>
int filter_kind(const Conv2dShape& s) {
  return winograd_filter_kind<T>(winograd_forward(s));
}
template <class T>
int64_t filter_bytes(const Conv2dShape& s) {
  return winograd_filter_bytes<T>(winograd_forward(s));
}
template <class T>
void transform_filters(const Conv2dShape& s, const ForwardBuffers<T>& b, void* filters,
                       void* workspace, const Context& context) {
  winograd_filters(winograd_forward(s), b.w, static_cast<SumOf<T>*>(filters), workspace,
                   context.threads);
}
template <class T>
constexpr ReadyFilters<ForwardBuffers<T>, Context> READY_FILTERS{
    filter_kind<T>, filter_bytes<T>, forward_bytes<T, true>, transform_filters<T>};

template <class T>
int64_t backward_input_bytes(const Conv2dShape& s, const Context& context) {
  return winograd_workspace_bytes<T>(winograd_backward_input(s), context.threads, false);
}
template <class T>
bool run_backward_input(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void* workspace,
                        const Context& context) {
  const WinogradBuffers<T> buffers{b.grad_y, b.w, nullptr, b.grad_x, nullptr};
  return winograd(winograd_backward_input(s), buffers, workspace, context.threads);
}

template <class T>
int64_t backward_weight_bytes(const Conv2dShape& s, const Context& context) {
  return winograd_weight_workspace_bytes<T>(winograd_forward(s), context.threads);
}
template <class T>
bool run_backward_weight(const Conv2dShape& s, const BackwardWeightBuffers<T>& b, void* workspace,
                         const Context& context) {
  return winograd_weight(winograd_forward(s), b, workspace, context.threads);
}

}  // namespace

template <class T>
Path<ForwardBuffers<T>> winograd_forward_path() {
  return {"winograd", supports, is_profitable<T>, forward_bytes<T, false>, run_forward<T>,
          false,      true,     &READY_FILTERS<T>};
}
template <class T>
Path<BackwardInputBuffers<T>> winograd_backward_input_path() {
  return {"winograd", supports, is_profitable<T>, backward_input_bytes<T>, run_backward_input<T>,
          false};
}
template <class T>
Path<BackwardWeightBuffers<T>> winograd_backward_weight_path() {
  return {
      "winograd", supports, is_weight_profitable, backward_weight_bytes<T>, run_backward_weight<T>,
      false};
}

#define INSTANTIATE(T)                                                   \
  template Path<ForwardBuffers<T>> winograd_forward_path();              \
  template Path<BackwardInputBuffers<T>> winograd_backward_input_path(); \
  template Path<BackwardWeightBuffers<T>> winograd_backward_weight_path();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
