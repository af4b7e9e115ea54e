// Direct convolution as a path of each direction. Layer: cpu/direct.
#include "../../core/dtype.h"
#include "direct.h"

namespace fastconv::cpu {
namespace {

constexpr WhyNot TOO_LARGE = "offsets into a packed row do not fit 32 bits";

constexpr Correlation correlation(const Conv2dShape& s) {
  return Correlation{s.N,           s.groups,
                     s.group_IC(),  s.group_OC(),
                     rows_axis(s),  columns_axis(s),
                     s.x_strides(), s.w_strides(),
                     s.y_strides(), s.group_OC() * s.w_strides().n};
}

WhyNot supports_forward(const Conv2dShape& s) {
  return correlation_fits(correlation(s)) ? HOLDS : TOO_LARGE;
}
template <class T>
int64_t forward_bytes(const Conv2dShape& s, const Context& context) {
  return correlate_workspace_bytes<T>(correlation(s), context.threads);
}
template <class T>
bool run_forward(const Conv2dShape& s, const ForwardBuffers<T>& b, void* workspace,
                 const Context& context) {
  correlate(correlation(s), b.x, b.w, b.bias, b.y, workspace, context.threads);
  return true;
}

// backward_input is one correlation with stride 1 for each phase (r_h, r_w), which is the set of
// the pixels ih = r_h + i * stride_h, iw = r_w + j * stride_w:
//   grad_x[n,ic, r_h + i*stride_h, r_w + j*stride_w] =
//       sum over oc,kh,kw of w[oc,ic,kh,kw] * grad_y[n,oc, i + row(kh), j + column(kw)]
//   row(kh) = (r_h + pad_top - kh * dilation_h) / stride_h, column(kw) alike
// The sum runs over the taps with whole rows and columns: every (stride / gcd(stride, dilation))-th
// tap. No zero is multiplied. A phase that no tap reaches is filled with 0.
struct PhaseCorrelation {
  Correlation correlation;
  int64_t weight_offset, x_offset;
};

constexpr PhaseCorrelation phase_correlation(const Conv2dShape& s, int64_t r_h, int64_t r_w) {
  const Phase h = phase_axis(r_h, s.IH, s.OH(), s.KH, s.stride_h, s.pad_top, s.dilation_h);
  const Phase w = phase_axis(r_w, s.IW, s.OW(), s.KW, s.stride_w, s.pad_left, s.dilation_w);
  const Strides xs = s.x_strides(), ws = s.w_strides();
  return {
      Correlation{s.N, s.groups, s.group_OC(), s.group_IC(), h.axis, w.axis, s.y_strides(),
                  Strides{ws.c, ws.n, ws.h * h.step_k, ws.w * w.step_k},
                  Strides{xs.n, xs.c, xs.h * s.stride_h, xs.w * s.stride_w}, s.group_OC() * ws.n},
      h.first_k * ws.h + w.first_k * ws.w, r_h * xs.h + r_w * xs.w};
}

template <class F>
void for_each_phase(const Conv2dShape& s, const F& f) {
  for (int64_t r_h = 0; r_h < min64(s.stride_h, s.IH); ++r_h)
    for (int64_t r_w = 0; r_w < min64(s.stride_w, s.IW); ++r_w) f(phase_correlation(s, r_h, r_w));
}

WhyNot supports_backward_input(const Conv2dShape& s) {
  constexpr int64_t MAX_PHASES = 100'000;  // each phase is a correlation
  if (!product_below(MAX_PHASES, min64(s.stride_h, s.IH), min64(s.stride_w, s.IW), 1))
    return "the stride has 100,000 phases or more";
  bool fits = true;
  for_each_phase(
      s, [&](const PhaseCorrelation& p) { fits = fits && correlation_fits(p.correlation); });
  return fits ? HOLDS : TOO_LARGE;
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
    correlate<T>(p.correlation, b.grad_y, b.w + p.weight_offset, nullptr, b.grad_x + p.x_offset,
                 workspace, context.threads);
  });
  return true;
}

WhyNot supports_backward_weight(const Conv2dShape& s) {
  if (s.y_count() == 0 && (s.OH() == 0 || s.OW() == 0 || s.OC == 0)) return "the output is empty";
  return direct_weight_fits(s) ? HOLDS : TOO_LARGE;
}
template <class T>
int64_t backward_weight_bytes(const Conv2dShape& s, const Context& context) {
  return direct_weight_workspace_bytes<T>(s, context.threads);
}
template <class T>
bool run_backward_weight(const Conv2dShape& s, const BackwardWeightBuffers<T>& b, void* workspace,
                         const Context& context) {
  direct_weight(s, b, workspace, context.threads);
  return true;
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
  return {"direct", supports_backward_weight, always, backward_weight_bytes<T>,
          run_backward_weight<T>};
}

#define INSTANTIATE(T)                                                 \
  template Path<ForwardBuffers<T>> direct_forward_path();              \
  template Path<BackwardInputBuffers<T>> direct_backward_input_path(); \
  template Path<BackwardWeightBuffers<T>> direct_backward_weight_path();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
