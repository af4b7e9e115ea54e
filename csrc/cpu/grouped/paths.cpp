// Grouped convolution as a path of each direction. Layer: cpu/grouped.
#include "../../core/dtype.h"
#include "correlate.h"
#include "grouped.h"
#include "groups.h"
#include "weight.h"

namespace fastconv::cpu {
namespace {

// Whether a band of one output row, packed in 16 lanes or the inputs of a group, stays small.
bool rows_fit(int64_t source_rows, int64_t columns, int64_t inputs) {
  constexpr int64_t MOST_ELEMENTS = 1 << 20;
  constexpr int64_t LANES = 16;
  return product_below(MOST_ELEMENTS, source_rows + 1, columns, max64(LANES, inputs));
}
constexpr WhyNot TOO_LARGE = "its rows are too long";

template <class T>
WhyNot supports_channels(const Conv2dShape& s, int64_t inputs, int64_t outputs) {
  if (s.x_count() == 0 || s.y_count() == 0 || s.w_count() == 0) return "a tensor is empty";
  if (s.x_channels_last != s.y_channels_last) return "x and y have different layouts";
  if (GroupChannels<T>(s.groups, inputs, outputs).kind < 0)
    return "a group has not 2, 4 or 8 channels in and out, and does not fill vectors";
  return HOLDS;
}
template <class T>
WhyNot supports_forward(const Conv2dShape& s) {
  if (const WhyNot why_not = supports_channels<T>(s, s.group_IC(), s.group_OC())) return why_not;
  const int64_t rows = forward_axis(rows_axis(s)).most_source_rows(1);
  return rows_fit(rows, s.IW + s.OW(), s.group_IC()) ? HOLDS : TOO_LARGE;
}
template <class T>
WhyNot supports_backward_input(const Conv2dShape& s) {
  if (const WhyNot why_not = supports_channels<T>(s, s.group_OC(), s.group_IC())) return why_not;
  if (min64(s.stride_h, s.IH) > PhasedAxis::MOST_PHASES ||
      min64(s.stride_w, s.IW) > PhasedAxis::MOST_PHASES)
    return "the stride is above 16";
  const int64_t rows = grouped_backward_input(s).h.most_source_rows(1);
  return rows_fit(rows, s.IW + s.OW(), s.group_OC()) ? HOLDS : TOO_LARGE;
}

template <class T>
int64_t forward_bytes(const Conv2dShape& s, const Context& context) {
  return grouped_correlate_bytes<T>(grouped_forward(s), context.threads);
}
template <class T>
bool run_forward(const Conv2dShape& s, const ForwardBuffers<T>& b, void* workspace,
                 const Context& context) {
  grouped_correlate(grouped_forward(s), b.x, b.w, b.epilogue, b.y, workspace, context.threads);
  return true;
}

template <class T>
int64_t backward_input_bytes(const Conv2dShape& s, const Context& context) {
  return grouped_correlate_bytes<T>(grouped_backward_input(s), context.threads);
}
template <class T>
bool run_backward_input(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void* workspace,
                        const Context& context) {
  grouped_correlate<T>(grouped_backward_input(s), b.grad_y, b.w, {}, b.grad_x, workspace,
                       context.threads);
  return true;
}

}  // namespace

template <class T>
Path<ForwardBuffers<T>> grouped_forward_path() {
  if constexpr (IS_WIDENED<T>)
    return no_path_for_16_bits<ForwardBuffers<T>>("grouped");
  else
    return {"grouped", supports_forward<T>, always, forward_bytes<T>, run_forward<T>};
}
template <class T>
Path<BackwardInputBuffers<T>> grouped_backward_input_path() {
  if constexpr (IS_WIDENED<T>)
    return no_path_for_16_bits<BackwardInputBuffers<T>>("grouped");
  else
    return {"grouped", supports_backward_input<T>, always, backward_input_bytes<T>,
            run_backward_input<T>};
}
template <class T>
Path<BackwardWeightBuffers<T>> grouped_backward_weight_path() {
  if constexpr (IS_WIDENED<T>)
    return no_path_for_16_bits<BackwardWeightBuffers<T>>("grouped");
  else
    return weight_path<T, grouped_weight_bytes<T>, grouped_weight<T>>("grouped",
                                                                      supports_forward<T>, always);
}

#define INSTANTIATE(T)                                                  \
  template Path<ForwardBuffers<T>> grouped_forward_path();              \
  template Path<BackwardInputBuffers<T>> grouped_backward_input_path(); \
  template Path<BackwardWeightBuffers<T>> grouped_backward_weight_path();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
