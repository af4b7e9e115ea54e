// Winograd as a path of each direction: the shapes that it supports. Its estimate:
// cpu/paths/estimate_winograd.cpp. Layer: cpu/winograd.
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

template <class T, bool TRANSFORMED_FILTERS>
int64_t forward_bytes(const Conv2dShape& s, const Context& context) {
  return winograd_workspace_bytes<T>(winograd_forward(s), context.threads, TRANSFORMED_FILTERS);
}
template <class T>
bool run_forward(const Conv2dShape& s, const ForwardBuffers<T>& b, void* workspace,
                 const Context& context) {
  const WinogradBuffers<T> buffers{b.x, b.w, b.epilogue, b.y, b.transformed_filters};
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
constexpr TransformedFilters<ForwardBuffers<T>, Context> TRANSFORMED_FILTERS{
    filter_kind<T>, filter_bytes<T>, forward_bytes<T, true>, transform_filters<T>};

template <class T>
int64_t backward_input_bytes(const Conv2dShape& s, const Context& context) {
  return winograd_workspace_bytes<T>(winograd_backward_input(s), context.threads, false);
}
template <class T>
bool run_backward_input(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void* workspace,
                        const Context& context) {
  const WinogradBuffers<T> buffers{b.grad_y, b.w, {}, b.grad_x, nullptr};
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
  return {"winograd",     supports, always, forward_bytes<T, false>,
          run_forward<T>, false,    true,   &TRANSFORMED_FILTERS<T>};
}
template <class T>
Path<BackwardInputBuffers<T>> winograd_backward_input_path() {
  return {"winograd", supports, always, backward_input_bytes<T>, run_backward_input<T>, false};
}
template <class T>
Path<BackwardWeightBuffers<T>> winograd_backward_weight_path() {
  return {"winograd", supports, always, backward_weight_bytes<T>, run_backward_weight<T>, false};
}

#define INSTANTIATE(T)                                                   \
  template Path<ForwardBuffers<T>> winograd_forward_path();              \
  template Path<BackwardInputBuffers<T>> winograd_backward_input_path(); \
  template Path<BackwardWeightBuffers<T>> winograd_backward_weight_path();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
