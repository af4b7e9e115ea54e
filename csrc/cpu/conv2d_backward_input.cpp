// conv2d backward_input: its path list. Layer: cpu.
//
// Polyphase: the pixels of grad_x at ih = r_h + i * stride_h, iw alike, for one phase (r_h, r_w),
// are a stride-1 correlation of grad_y with every tap that reaches them:
//   grad_x[n,ic, r_h + i*stride_h, ...] = sum over oc,kh,kw of w[oc,ic,kh,kw] * grad_y[n,oc, i +
//   row(kh), j + column(kw)] with row(kh) = (r_h + pad_top - kh * dilation_h) / stride_h, for the
//   kh where this is whole.
// Those kh are every (stride_h / gcd)-th one, so no zero is ever multiplied; a phase that no tap
// reaches is filled with 0.
#include <numeric>

#include "conv2d.h"
#include "direct.h"
#include "reference.h"
#include "winograd.h"

namespace fastconv::cpu {
namespace {

struct Phase {
  Axis axis;
  int64_t first_k, step_k;  // the kernel rows (columns) that reach this phase
};

constexpr Phase phase_axis(int64_t r, int64_t I, int64_t O, int64_t K, int64_t stride, int64_t pad,
                           int64_t dilation) {
  const int64_t step_k = stride / std::gcd(stride, dilation);
  int64_t first_k = 0;
  while (first_k < min64(step_k, K) && (r + pad - first_k * dilation) % stride != 0) ++first_k;
  const int64_t taps = first_k < step_k && first_k < K ? ceil_div(K - first_k, step_k) : 0;
  const int64_t first = taps ? (r + pad - first_k * dilation) / stride : 0;
  return {Axis{O, ceil_div(I - r, stride), 1, taps, first, -step_k * dilation / stride}, first_k,
          step_k};
}

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

bool direct_accepts(const Conv2dShape& s) {
  constexpr int64_t MAX_PHASES = 100'000;  // each is a convolution of its own
  bool fits = product_below(MAX_PHASES, min64(s.stride_h, s.IH), min64(s.stride_w, s.IW), 1);
  if (!fits) return false;
  for_each_phase(
      s, [&](const PhaseCorrelation& p) { fits = fits && correlation_fits(p.correlation); });
  return fits;
}

template <class T>
int64_t direct_bytes(const Conv2dShape& s, int threads) {
  int64_t bytes = 0;
  for_each_phase(s, [&](const PhaseCorrelation& p) {
    bytes = max64(bytes, correlate_workspace_bytes<T>(p.correlation, threads));
  });
  return bytes;
}

template <class T>
bool direct(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void* workspace, int threads) {
  for_each_phase(s, [&](const PhaseCorrelation& p) {
    correlate<T>(p.correlation, b.grad_y, b.w + p.weight_offset, nullptr, b.grad_x + p.x_offset,
                 workspace, threads);
  });
  return true;
}

template <class T>
int64_t winograd_bytes(const Conv2dShape& s, int threads) {
  return winograd_workspace_bytes<T>(winograd_backward_input(s), threads, false);
}

template <class T>
bool run_winograd(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void* workspace,
                  int threads) {
  const WinogradBuffers<T> buffers{b.grad_y, b.w, nullptr, b.grad_x, nullptr};
  return winograd(winograd_backward_input(s), buffers, workspace, threads);
}

template <class T>
constexpr Conv2dPath<BackwardInputBuffers<T>> PATHS[] = {
    {"tiny", is_tiny, accepts_any, no_workspace, reference_backward_input<T>},
    {"winograd", winograd_runs, winograd_pays, winograd_bytes<T>, run_winograd<T>, false},
    {"direct", direct_accepts, accepts_any, direct_bytes<T>, direct<T>},
    {"reference", accepts_any, accepts_any, no_workspace, reference_backward_input<T>},
};

}  // namespace

template <>
Conv2dPaths<BackwardInputBuffers<float>> conv2d_paths() {
  return {PATHS<float>, 4};
}
template <>
Conv2dPaths<BackwardInputBuffers<double>> conv2d_paths() {
  return {PATHS<double>, 4};
}

}  // namespace fastconv::cpu
