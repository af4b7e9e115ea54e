// conv2d as its formula says (../shape.h), element by element. Layer: cpu.
#include "reference.h"

#include "parallel.h"

namespace fastconv::cpu {
namespace {

// Calls f(kh, kw, ih, iw) for the taps of output (oh, ow) that fall inside the image.
template <class F>
void for_each_tap(const Conv2dShape& s, int64_t oh, int64_t ow, const F& f) {
  for (int64_t kh = 0; kh < s.KH; ++kh) {
    const int64_t ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
    if (ih < 0 || ih >= s.IH) continue;
    for (int64_t kw = 0; kw < s.KW; ++kw) {
      const int64_t iw = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
      if (iw >= 0 && iw < s.IW) f(kh, kw, ih, iw);
    }
  }
}

template <class T>
T& at(T* tensor, const Strides& s, int64_t n, int64_t c, int64_t h, int64_t w) {
  return tensor[n * s.n + c * s.c + h * s.h + w * s.w];
}

}  // namespace

template <class T>
void reference_forward(const Conv2dShape& s, const ForwardBuffers<T>& b, void*, int threads) {
  parallel_jobs(threads_for(s.multiply_adds(), threads), s.N * s.OC, [&](int64_t job, int) {
    const int64_t n = job / s.OC, oc = job % s.OC, first_ic = oc / s.group_OC() * s.group_IC();
    for (int64_t oh = 0; oh < s.OH(); ++oh)
      for (int64_t ow = 0; ow < s.OW(); ++ow) {
        double sum = b.bias ? b.bias[oc] : 0;
        for (int64_t ic = 0; ic < s.group_IC(); ++ic)
          for_each_tap(s, oh, ow, [&](int64_t kh, int64_t kw, int64_t ih, int64_t iw) {
            sum += double(at(b.w, s.w_strides(), oc, ic, kh, kw)) *
                   at(b.x, s.x_strides(), n, first_ic + ic, ih, iw);
          });
        at(b.y, s.y_strides(), n, oc, oh, ow) = static_cast<T>(sum);
      }
  });
}

template <class T>
void reference_backward_input(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void*,
                              int threads) {
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
            if (oh >= s.OH() || ow >= s.OW()) continue;
            for (int64_t oc = 0; oc < s.group_OC(); ++oc)
              sum += double(at(b.w, s.w_strides(), first_oc + oc, ic % s.group_IC(), kh, kw)) *
                     at(b.grad_y, s.y_strides(), n, first_oc + oc, oh, ow);
          }
        at(b.grad_x, s.x_strides(), n, ic, ih, iw) = static_cast<T>(sum);
      }
  });
}

template <class T>
void reference_backward_weight(const Conv2dShape& s, const BackwardWeightBuffers<T>& b, void*,
                               int threads) {
  parallel_jobs(threads_for(s.multiply_adds(), threads), s.OC, [&](int64_t oc, int) {
    const int64_t first_ic = oc / s.group_OC() * s.group_IC();
    for (int64_t ic = 0; ic < s.group_IC(); ++ic)
      for (int64_t kh = 0; kh < s.KH; ++kh)
        for (int64_t kw = 0; kw < s.KW; ++kw) {
          double sum = 0;
          for (int64_t n = 0; n < s.N; ++n)
            for (int64_t oh = 0; oh < s.OH(); ++oh)
              for (int64_t ow = 0; ow < s.OW(); ++ow) {
                const int64_t ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
                const int64_t iw = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
                if (ih < 0 || ih >= s.IH || iw < 0 || iw >= s.IW) continue;
                sum += double(at(b.grad_y, s.y_strides(), n, oc, oh, ow)) *
                       at(b.x, s.x_strides(), n, first_ic + ic, ih, iw);
              }
          at(b.grad_w, s.w_strides(), oc, ic, kh, kw) = static_cast<T>(sum);
        }
    if (b.grad_bias) {
      double sum = 0;
      for (int64_t n = 0; n < s.N; ++n)
        for (int64_t oh = 0; oh < s.OH(); ++oh)
          for (int64_t ow = 0; ow < s.OW(); ++ow) sum += at(b.grad_y, s.y_strides(), n, oc, oh, ow);
      b.grad_bias[oc] = static_cast<T>(sum);
    }
  });
}

#define INSTANTIATE(T)                                                                         \
  template void reference_forward(const Conv2dShape&, const ForwardBuffers<T>&, void*, int);   \
  template void reference_backward_input(const Conv2dShape&, const BackwardInputBuffers<T>&,   \
                                         void*, int);                                          \
  template void reference_backward_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, \
                                          void*, int);
INSTANTIATE(float)
INSTANTIATE(double)

}  // namespace fastconv::cpu
