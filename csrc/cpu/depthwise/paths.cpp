// Depthwise convolution as a path of each direction. Layer: cpu/depthwise.
#include "../../core/dtype.h"
#include "correlate.h"
#include "depthwise.h"
#include "weight.h"

namespace fastconv::cpu {
namespace {

// Whether a band of one output row, packed in 16 lanes, stays small.
bool rows_fit(int64_t source_rows, int64_t columns) {
  constexpr int64_t MOST_ELEMENTS = 1 << 20;
  constexpr int64_t LANES = 16;
  return product_below(MOST_ELEMENTS, source_rows + 1, columns, LANES);
}

WhyNot supports_shape(const Conv2dShape& s) {
  if (s.group_IC() != 1) return "a group has more than one input channel";
  if (s.x_channels_last != s.y_channels_last) return "x and y have different layouts";
  if (s.IH < 1 || s.IW < 1) return "the input is empty";
  if (s.OH() < 1 || s.OW() < 1 || s.OC < 1) return "the output is empty";
  return HOLDS;
}
WhyNot supports_forward(const Conv2dShape& s) {
  if (const WhyNot why_not = supports_shape(s)) return why_not;
  const PhasedAxis h = forward_axis(rows_axis(s));
  return rows_fit(h.most_source_rows(1), s.IW + s.OW()) ? HOLDS : "its rows are too long";
}
WhyNot supports_backward_input(const Conv2dShape& s) {
  if (const WhyNot why_not = supports_shape(s)) return why_not;
  if (min64(s.stride_h, s.IH) > PhasedAxis::MOST_PHASES ||
      min64(s.stride_w, s.IW) > PhasedAxis::MOST_PHASES)
    return "the stride is above 16";
  const DepthwiseCorrelation c = depthwise_backward_input(s);
  return rows_fit(c.h.most_source_rows(1), s.IW + s.OW()) ? HOLDS : "its rows are too long";
}

// Packed lanes are channels, of which few fill less than half of an AVX2 vector. In planes all lanes are
// filled.
WhyNot is_profitable(const Conv2dShape& s, bool in_planes) {
  constexpr int64_t LEAST_GROUPS = 4;
  if (s.groups >= LEAST_GROUPS || (in_planes && s.group_OC() == 1)) return HOLDS;
  return "there are fewer than 4 groups";
}
template <class T>
WhyNot forward_is_profitable(const Conv2dShape& s) {
  return is_profitable(s, depthwise_runs_in_planes<T>(depthwise_forward(s)));
}
template <class T>
WhyNot backward_input_is_profitable(const Conv2dShape& s) {
  return is_profitable(s, depthwise_runs_in_planes<T>(depthwise_backward_input(s)));
}
template <class T>
WhyNot backward_weight_is_profitable(const Conv2dShape& s) {
  return is_profitable(s, depthwise_weight_runs_in_planes<T>(s));
}

template <class T>
int64_t forward_bytes(const Conv2dShape& s, const Context& context) {
  return depthwise_correlate_bytes<T>(depthwise_forward(s), context.threads);
}
template <class T>
bool run_forward(const Conv2dShape& s, const ForwardBuffers<T>& b, void* workspace,
                 const Context& context) {
  depthwise_correlate(depthwise_forward(s), b.x, b.w, b.epilogue, b.y, workspace, context.threads);
  return true;
}

template <class T>
int64_t backward_input_bytes(const Conv2dShape& s, const Context& context) {
  return depthwise_correlate_bytes<T>(depthwise_backward_input(s), context.threads);
}
template <class T>
bool run_backward_input(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void* workspace,
                        const Context& context) {
  depthwise_correlate<T>(depthwise_backward_input(s), b.grad_y, b.w, {}, b.grad_x, workspace,
                         context.threads);
  return true;
}

}  // namespace

template <class T>
Path<ForwardBuffers<T>> depthwise_forward_path() {
  return {"depthwise", supports_forward, forward_is_profitable<T>, forward_bytes<T>,
          run_forward<T>};
}
template <class T>
Path<BackwardInputBuffers<T>> depthwise_backward_input_path() {
  return {"depthwise", supports_backward_input, backward_input_is_profitable<T>,
          backward_input_bytes<T>, run_backward_input<T>};
}
template <class T>
Path<BackwardWeightBuffers<T>> depthwise_backward_weight_path() {
  return weight_path<T, depthwise_weight_bytes<T>, depthwise_weight<T>>(
      "depthwise", supports_forward, backward_weight_is_profitable<T>);
}

#define INSTANTIATE(T)                                                    \
  template Path<ForwardBuffers<T>> depthwise_forward_path();              \
  template Path<BackwardInputBuffers<T>> depthwise_backward_input_path(); \
  template Path<BackwardWeightBuffers<T>> depthwise_backward_weight_path();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
