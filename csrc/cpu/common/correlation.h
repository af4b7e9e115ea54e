// A correlation: the formula that forward and each phase of backward_input share. Layer: cpu.
#pragma once

#include <cstdint>

#include "../../core/conv2d.h"
#include "axis.h"

namespace fastconv::cpu {

// The outputs of an axis whose tap lies inside the source.
constexpr Window inside(const Axis& axis, int64_t tap) {
  const int64_t at = axis.first + tap * axis.step;
  const int64_t first = at >= 0 ? 0 : ceil_div(-at, axis.stride);
  const int64_t end = at >= axis.source ? 0 : (axis.source - 1 - at) / axis.stride + 1;
  return {min64(first, axis.outputs), clamp64(end, 0, axis.outputs)};
}

// For each group:
//   y[n,m,i,j] = bias[m] + sum over c,a,b of
//       w[m,c,a,b] * x[n,c, i*stride_h + first_h + a*step_h, j*stride_w + first_w + b*step_w]
// with x = 0 outside the image. Strides are in elements. The tensors may be parts of larger ones.
struct Correlation {
  int64_t N, groups;
  int64_t C, M;  // of one group
  Axis h, w;
  Strides x, weight, y;  // weight: n walks m, c walks c, h walks a, w walks b
  int64_t weight_group;  // elements between the weights of neighbouring groups
};

constexpr Correlation forward_correlation(const Conv2dShape& s) {
  return Correlation{s.N,           s.groups,
                     s.group_IC(),  s.group_OC(),
                     rows_axis(s),  columns_axis(s),
                     s.x_strides(), s.w_strides(),
                     s.y_strides(), s.group_OC() * s.w_strides().n};
}

// The same correlation without the taps at either end of an axis that see nothing but padding, and
// the distance of its first weight from the first weight of the whole correlation.
struct ClippedCorrelation {
  Correlation correlation;
  int64_t weight_offset;
};
constexpr int64_t clip_taps(Axis& axis) {
  int64_t dropped = 0;
  const auto sees_nothing = [&](int64_t tap) {
    const Window outputs = inside(axis, tap);
    return outputs.first >= outputs.end;
  };
  while (axis.taps > 0 && sees_nothing(axis.taps - 1)) --axis.taps;
  for (; axis.taps > 0 && sees_nothing(0); --axis.taps, ++dropped) axis.first += axis.step;
  return dropped;
}
constexpr ClippedCorrelation clipped(Correlation s) {
  const int64_t a = clip_taps(s.h), b = clip_taps(s.w);
  return {s, a * s.weight.h + b * s.weight.w};
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

// `ws` are the strides of the filters of s, or of a copy of them.
constexpr PhaseCorrelation phase_correlation(const Conv2dShape& s, const Strides& ws, int64_t r_h,
                                             int64_t r_w) {
  const Phase h = phase_axis(r_h, s.IH, s.OH(), s.KH, s.stride_h, s.pad_top, s.dilation_h);
  const Phase w = phase_axis(r_w, s.IW, s.OW(), s.KW, s.stride_w, s.pad_left, s.dilation_w);
  const Strides xs = s.x_strides();
  return {Correlation{s.N, s.groups, s.group_OC(), s.group_IC(), h.axis, w.axis, s.y_strides(),
                      Strides{ws.c, ws.n, ws.h * h.step_k, ws.w * w.step_k},
                      Strides{xs.n, xs.c, xs.h * s.stride_h, xs.w * s.stride_w},
                      s.w_count() / s.groups},
          h.first_k * ws.h + w.first_k * ws.w, r_h * xs.h + r_w * xs.w};
}

template <class F>
void for_each_phase(const Conv2dShape& s, const F& f) {
  for (int64_t r_h = 0; r_h < min64(s.stride_h, s.IH); ++r_h)
    for (int64_t r_w = 0; r_w < min64(s.stride_w, s.IW); ++r_w)
      f(phase_correlation(s, s.w_strides(), r_h, r_w));
}

// Each phase is a correlation of its own, so there must not be too many.
constexpr WhyNot MANY_PHASES = "the strides of rows and columns, multiplied, are 100,000 or more";
constexpr bool few_phases(const Conv2dShape& s) {
  return product_below(100'000, min64(s.stride_h, s.IH), min64(s.stride_w, s.IW), 1);
}

}  // namespace fastconv::cpu
