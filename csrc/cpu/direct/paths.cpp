// Direct convolution as a path of each direction. Layer: cpu/direct.
#include "../../core/dtype.h"
#include "direct.h"

namespace fastconv::cpu {
namespace {

constexpr WhyNot TOO_LARGE = "a row, its padding or the filter is too large";

WhyNot supports_forward(const Conv2dShape& s) {
  return direct_supports(forward_correlation(s)) ? HOLDS : TOO_LARGE;
}
template <class T>
int64_t forward_bytes(const Conv2dShape& s, const Context& context) {
  return correlate_workspace_bytes<T>(forward_correlation(s), context.threads);
}
template <class T>
bool run_forward(const Conv2dShape& s, const ForwardBuffers<T>& b, void* workspace,
                 const Context& context) {
  correlate(forward_correlation(s), b.x, b.w, b.epilogue, b.y, workspace, context.threads);
  return true;
}

WhyNot supports_backward_input(const Conv2dShape& s) {
  if (!few_phases(s)) return MANY_PHASES;
  bool all = true;
  for_each_phase(s,
                 [&](const PhaseCorrelation& p) { all = all && direct_supports(p.correlation); });
  return all ? HOLDS : TOO_LARGE;
}
template <class T>
int64_t backward_input_bytes(const Conv2dShape& s, const Context& context) {
  int64_t bytes = 0;
  for_each_phase(s, [&](const PhaseCorrelation& p) {
    bytes = max64(bytes, correlate_workspace_bytes<T>(p.correlation, context.threads));
  });
  return bytes;
}
template <class T>
bool run_backward_input(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void* workspace,
                        const Context& context) {
  for_each_phase(s, [&](const PhaseCorrelation& p) {
    correlate<T>(p.correlation, b.grad_y, b.w + p.weight_offset, {}, b.grad_x + p.x_offset,
                 workspace, context.threads);
  });
  return true;
}

WhyNot supports_backward_weight(const Conv2dShape& s) {
  if (s.y_count() == 0 && (s.OH() == 0 || s.OW() == 0 || s.OC == 0)) return "the output is empty";
  return direct_weight_supports(s) ? HOLDS : TOO_LARGE;
}
}  // namespace

template <class T>
Path<ForwardBuffers<T>> direct_forward_path() {
  return {"direct", supports_forward, always, forward_bytes<T>, run_forward<T>};
}
template <class T>
Path<BackwardInputBuffers<T>> direct_backward_input_path() {
  return {"direct", supports_backward_input, always, backward_input_bytes<T>,
          run_backward_input<T>};
}
template <class T>
Path<BackwardWeightBuffers<T>> direct_backward_weight_path() {
  return weight_path<T, direct_weight_workspace_bytes<T>, direct_weight<T>>(
      "direct", supports_backward_weight, always);
}

#define INSTANTIATE(T)                                                 \
  template Path<ForwardBuffers<T>> direct_forward_path();              \
  template Path<BackwardInputBuffers<T>> direct_backward_input_path(); \
  template Path<BackwardWeightBuffers<T>> direct_backward_weight_path();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
