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

#include "../../core/conv2d.h"
#include "../common/phased_axis.h"

namespace fastconv::cpu {

struct DepthwiseCorrelation {
  int64_t N, groups, inputs, outputs;
  PhasedAxis h, w;
  Strides in, out;
};

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
// Whether planes are read as they lie in memory (planes.h).
template <class T>
bool depthwise_runs_in_planes(const DepthwiseCorrelation&);
template <class T>
void depthwise_correlate(const DepthwiseCorrelation&, const T* in, const T* w, const Epilogue<T>&,
                         T* out, void* workspace, int threads);

}  // namespace fastconv::cpu
