// Forward and backward_input of a depthwise convolution as one formula. Layer: cpu/depthwise, for
// drivers.
//
// For each group g, with m = max(i, o):
//   out[n, g * outputs + o, r + h * phases, c + j * phases] = bias[g * outputs + o] +
//       sum over i,a,b of w[g * M + m, k_h(r, a), k_w(c, b)] *
//                         in[n, g * inputs + i, row(r, h, a), column(c, j, b)]
// Forward has one input and M outputs in a group, backward_input M inputs and one output.
#pragma once

#include <cstdint>

#include "../../core/shape.h"
#include "../common/axis.h"

namespace fastconv::cpu {

// One axis. Outputs r, r + phases, r + 2 * phases, ... are the outputs of phase r. Its tap a, in the
// order of the rows that taps read, is tap first_k + a * step_k of the filter.
struct DepthwiseAxis {
  static constexpr int64_t MOST_PHASES = 16;
  int64_t source, outputs, phases, filter_taps;
  Phase phase[MOST_PHASES];

  // At least as many source rows as any `count` neighbouring outputs read.
  constexpr int64_t most_source_rows(int64_t count) const {
    int64_t first = phase[0].axis.first, last = first;
    for (int64_t r = 0; r < phases; ++r) {
      const Axis& axis = phase[r].axis;
      if (axis.taps == 0) continue;
      first = min64(first, axis.first);
      last = max64(last, axis.first + (axis.taps - 1) * axis.step);
    }
    const int64_t steps = ceil_div(count, phases) * phase[0].axis.stride;
    return min64(source, last - first + steps + 1);
  }
};

struct DepthwiseCorrelation {
  int64_t N, groups, inputs, outputs;
  DepthwiseAxis h, w;
  Strides in, out;
};

constexpr DepthwiseAxis forward_axis(const Axis& axis) {
  DepthwiseAxis a{axis.source, axis.outputs, 1, axis.taps, {}};
  a.phase[0] = {axis, 0, 1};
  return a;
}

// The taps of a phase of backward_input read grad_y backwards. They are renumbered from the last.
constexpr DepthwiseAxis gradient_axis(int64_t I, int64_t O, int64_t K, int64_t stride, int64_t pad,
                                      int64_t dilation) {
  DepthwiseAxis a{O, I, min64(stride, I), K, {}};
  for (int64_t r = 0; r < a.phases; ++r) {
    Phase p = phase_axis(r, I, O, K, stride, pad, dilation);
    const int64_t last = max64(0, p.axis.taps - 1);
    p.axis.first += last * p.axis.step;
    p.axis.step = -p.axis.step;
    p.first_k = p.axis.taps == 0 ? 0 : p.first_k + last * p.step_k;
    p.step_k = -p.step_k;
    a.phase[r] = p;
  }
  return a;
}

constexpr DepthwiseCorrelation depthwise_forward(const Conv2dShape& s) {
  return {s.N,
          s.groups,
          1,
          s.group_OC(),
          forward_axis(rows_axis(s)),
          forward_axis(columns_axis(s)),
          s.x_strides(),
          s.y_strides()};
}
constexpr DepthwiseCorrelation depthwise_backward_input(const Conv2dShape& s) {
  return {s.N,
          s.groups,
          s.group_OC(),
          1,
          gradient_axis(s.IH, s.OH(), s.KH, s.stride_h, s.pad_top, s.dilation_h),
          gradient_axis(s.IW, s.OW(), s.KW, s.stride_w, s.pad_left, s.dilation_w),
          s.y_strides(),
          s.x_strides()};
}

template <class T>
int64_t depthwise_correlate_bytes(const DepthwiseCorrelation&, int threads);
template <class T>
void depthwise_correlate(const DepthwiseCorrelation&, const T* in, const T* w, const T* bias,
                         T* out, void* workspace, int threads);

}  // namespace fastconv::cpu
