// conv2d by the loops of its formula (../../core/shape.h), element by element. Layer:
// cpu/reference.
#include "reference.h"

#include "../../core/dtype.h"
#include "../common/finish.h"
#include "../common/parallel.h"

namespace fastconv::cpu {
namespace {

struct Taps {
  int64_t begin, end;
};

// Returns the taps k < K of one axis for which first + k * dilation lies in [0, extent).
Taps taps_inside(int64_t first, int64_t K, int64_t dilation, int64_t extent) {
  if (first >= 0 && first + (K - 1) * dilation < extent) return {0, K};
  return {first < 0 ? ceil_div(-first, dilation) : 0,
          first < extent ? min64(K, ceil_div(extent - first, dilation)) : 0};
}

// Calls f(kh, kw, ih, iw) for the taps of output (oh, ow) that fall inside the image.
template <class F>
void for_each_tap(const Conv2dShape& s, int64_t oh, int64_t ow, const F& f) {
  const int64_t top = oh * s.stride_h - s.pad_top, left = ow * s.stride_w - s.pad_left;
  const Taps rows = taps_inside(top, s.KH, s.dilation_h, s.IH);
  const Taps columns = taps_inside(left, s.KW, s.dilation_w, s.IW);
  for (int64_t kh = rows.begin; kh < rows.end; ++kh)
    for (int64_t kw = columns.begin; kw < columns.end; ++kw)
      f(kh, kw, top + kh * s.dilation_h, left + kw * s.dilation_w);
}

// Extents and strides of a shape, computed once because extents take divisions.
struct Derived {
  explicit Derived(const Conv2dShape& s)
      : OH(s.OH()), OW(s.OW()), x(s.x_strides()), w(s.w_strides()), y(s.y_strides()) {}
  int64_t OH, OW;
  Strides x, w, y;
};

template <class T>
T& at(T* tensor, const Strides& s, int64_t n, int64_t c, int64_t h, int64_t w) {
  return tensor[n * s.n + c * s.c + h * s.h + w * s.w];
}

template <class T>
bool run_forward(const Conv2dShape& s, const ForwardBuffers<T>& b, void*, const Context& context) {
  const int threads = context.threads;
  const Derived d(s);
  const Finishing<T> finishing(b.epilogue, b.y);
  parallel_jobs(threads_for(s.multiply_adds(), threads), s.N * s.OC, [&](int64_t job, int) {
    const int64_t n = job / s.OC, oc = job % s.OC, group_IC = s.group_IC();
    const int64_t first_ic = oc / s.group_OC() * group_IC;
    for (int64_t oh = 0; oh < d.OH; ++oh)
      for (int64_t ow = 0; ow < d.OW; ++ow) {
        double sum = b.epilogue.bias ? double(b.epilogue.bias[oc]) : 0;
        for (int64_t ic = 0; ic < group_IC; ++ic) {
          const T *w = &at(b.w, d.w, oc, ic, 0, 0), *x = &at(b.x, d.x, n, first_ic + ic, 0, 0);
          for_each_tap(s, oh, ow, [&](int64_t kh, int64_t kw, int64_t ih, int64_t iw) {
            sum += double(w[kh * d.w.h + kw * d.w.w]) * x[ih * d.x.h + iw * d.x.w];
          });
        }
        T* y = &at(b.y, d.y, n, oc, oh, ow);
        *y = finishing.element(static_cast<SumOf<T>>(sum), y);
      }
  });
  return true;
}

template <class T>
bool run_backward_input(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void*,
                        const Context& context) {
  const int threads = context.threads;
  const Derived d(s);
  parallel_jobs(threads_for(s.multiply_adds(), threads), s.N * s.IC, [&](int64_t job, int) {
    const int64_t n = job / s.IC, ic = job % s.IC, first_oc = ic / s.group_IC() * s.group_OC();
    for (int64_t ih = 0; ih < s.IH; ++ih)
      for (int64_t iw = 0; iw < s.IW; ++iw) {
        double sum = 0;
        for (int64_t kh = 0; kh < s.KH; ++kh)
          for (int64_t kw = 0; kw < s.KW; ++kw) {
            const int64_t h = ih + s.pad_top - kh * s.dilation_h;
            const int64_t w = iw + s.pad_left - kw * s.dilation_w;
            if (h < 0 || w < 0 || h % s.stride_h || w % s.stride_w) continue;
            const int64_t oh = h / s.stride_h, ow = w / s.stride_w;
            if (oh >= d.OH || ow >= d.OW) continue;
            for (int64_t oc = 0; oc < s.group_OC(); ++oc)
              sum += double(at(b.w, d.w, first_oc + oc, ic % s.group_IC(), kh, kw)) *
                     at(b.grad_y, d.y, n, first_oc + oc, oh, ow);
          }
        at(b.grad_x, d.x, n, ic, ih, iw) = static_cast<T>(sum);
      }
  });
  return true;
}

template <class T>
bool run_backward_weight(const Conv2dShape& s, const BackwardWeightBuffers<T>& b, void*,
                         const Context& context) {
  const int threads = context.threads;
  const Derived d(s);
  parallel_jobs(threads_for(s.multiply_adds(), threads), s.OC, [&](int64_t oc, int) {
    const int64_t first_ic = oc / s.group_OC() * s.group_IC();
    for (int64_t ic = 0; ic < s.group_IC(); ++ic)
      for (int64_t kh = 0; kh < s.KH; ++kh)
        for (int64_t kw = 0; kw < s.KW; ++kw) {
          double sum = 0;
          for (int64_t n = 0; n < s.N; ++n)
            for (int64_t oh = 0; oh < d.OH; ++oh)
              for (int64_t ow = 0; ow < d.OW; ++ow) {
                const int64_t ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
                const int64_t iw = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
                if (ih < 0 || ih >= s.IH || iw < 0 || iw >= s.IW) continue;
                sum += double(at(b.grad_y, d.y, n, oc, oh, ow)) *
                       at(b.x, d.x, n, first_ic + ic, ih, iw);
              }
          at(b.grad_w, d.w, oc, ic, kh, kw) = static_cast<T>(sum);
        }
    if (b.grad_bias) {
      double sum = 0;
      for (int64_t n = 0; n < s.N; ++n)
        for (int64_t oh = 0; oh < d.OH; ++oh)
          for (int64_t ow = 0; ow < d.OW; ++ow) sum += at(b.grad_y, d.y, n, oc, oh, ow);
      b.grad_bias[oc] = static_cast<T>(sum);
    }
  });
  return true;
}

template <class Buffers>
Path<Buffers> reference_path(bool (*run)(const Conv2dShape&, const Buffers&, void*,
                                         const Context&)) {
  Path<Buffers> path{"reference", always, always, no_workspace, run};
  path.can_be_disabled = false;
  return path;
}

}  // namespace

template <class T>
Path<ForwardBuffers<T>> reference_forward_path() {
  return reference_path<ForwardBuffers<T>>(run_forward<T>);
}
template <class T>
Path<BackwardInputBuffers<T>> reference_backward_input_path() {
  return reference_path<BackwardInputBuffers<T>>(run_backward_input<T>);
}
template <class T>
Path<BackwardWeightBuffers<T>> reference_backward_weight_path() {
  return reference_path<BackwardWeightBuffers<T>>(run_backward_weight<T>);
}

#define INSTANTIATE(T)                                                    \
  template Path<ForwardBuffers<T>> reference_forward_path();              \
  template Path<BackwardInputBuffers<T>> reference_backward_input_path(); \
  template Path<BackwardWeightBuffers<T>> reference_backward_weight_path();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
