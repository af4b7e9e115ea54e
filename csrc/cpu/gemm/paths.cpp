// GEMM convolution as a path of each direction. Layer: cpu/gemm.
#include "../../core/dtype.h"
#include "gemm.h"

namespace fastconv::cpu {
namespace {

// Extents below this make all offsets and counts fit int64.
WhyNot supports(const Conv2dShape& s) {
  constexpr int64_t MAX_COUNT = int64_t(1) << 40;
  if (s.x_count() == 0 || s.y_count() == 0 || s.w_count() == 0) return "a tensor is empty";
  if (!product_below(MAX_COUNT, s.OC, s.group_IC(), s.KH * s.KW)) return "there are too many weights";
  return HOLDS;
}
WhyNot supports_backward_input(const Conv2dShape& s) {
  return few_phases(s) ? supports(s) : MANY_PHASES;
}

WhyNot is_profitable(const Conv2dShape& s) {
  constexpr int64_t LEAST_CHANNELS = 8, LEAST_TERMS = 16;
  if (s.group_OC() < LEAST_CHANNELS) return "there are fewer than 8 channels out of a group";
  if (s.terms() < LEAST_TERMS) return "a result has fewer than 16 terms";
  return HOLDS;
}
WhyNot is_backward_input_profitable(const Conv2dShape& s) {
  constexpr int64_t LEAST_CHANNELS = 8;
  return s.group_IC() < LEAST_CHANNELS ? "there are fewer than 8 channels into a group"
                                       : is_profitable(s);
}

template <class T>
int64_t forward_bytes(const Conv2dShape& s, const Context& context) {
  return gemm_workspace_bytes<T>(forward_correlation(s), context.threads);
}
template <class T>
bool run_forward(const Conv2dShape& s, const ForwardBuffers<T>& b, void* workspace,
                 const Context& context) {
  gemm_correlate(forward_correlation(s), b.x, b.w, b.bias, b.y, workspace, context.threads);
  return true;
}

template <class T>
int64_t backward_input_bytes(const Conv2dShape& s, const Context& context) {
  int64_t bytes = 0;
  for_each_phase(s, [&](const PhaseCorrelation& p) {
    bytes = max64(bytes, gemm_workspace_bytes<T>(p.correlation, context.threads));
  });
  return bytes;
}
template <class T>
bool run_backward_input(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void* workspace,
                        const Context& context) {
  for_each_phase(s, [&](const PhaseCorrelation& p) {
    gemm_correlate<T>(p.correlation, b.grad_y, b.w + p.weight_offset, nullptr,
                      b.grad_x + p.x_offset, workspace, context.threads);
  });
  return true;
}

template <class T>
int64_t backward_weight_bytes(const Conv2dShape& s, const Context& context) {
  return gemm_weight_workspace_bytes<T>(s, context.threads);
}
template <class T>
bool run_backward_weight(const Conv2dShape& s, const BackwardWeightBuffers<T>& b, void* workspace,
                         const Context& context) {
  gemm_weight(s, b, workspace, context.threads);
  return true;
}

}  // namespace

template <class T>
Path<ForwardBuffers<T>> gemm_forward_path() {
  return {"gemm", supports, is_profitable, forward_bytes<T>, run_forward<T>};
}
template <class T>
Path<BackwardInputBuffers<T>> gemm_backward_input_path() {
  return {"gemm", supports_backward_input, is_backward_input_profitable, backward_input_bytes<T>,
          run_backward_input<T>};
}
template <class T>
Path<BackwardWeightBuffers<T>> gemm_backward_weight_path() {
  return {"gemm", supports, is_profitable, backward_weight_bytes<T>, run_backward_weight<T>};
}

#define INSTANTIATE(T)                                               \
  template Path<ForwardBuffers<T>> gemm_forward_path();              \
  template Path<BackwardInputBuffers<T>> gemm_backward_input_path(); \
  template Path<BackwardWeightBuffers<T>> gemm_backward_weight_path();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
