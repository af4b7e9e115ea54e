// Forward and backward_input of a grouped convolution as one formula. Layer: cpu/grouped, for drivers.
//
// For each group g:
//   out[n, g * outputs + o, r + h * phases, c + j * phases] = bias[g * outputs + o] +
//       sum over i,a,b of w[g, o, i, k_h(r, a), k_w(c, b)] *
//                         in[n, g * inputs + i, row(r, h, a), column(c, j, b)]
// Forward has group_IC inputs and group_OC outputs, backward_input the other way round.
#pragma once

#include <cstdint>

#include "../../core/conv2d.h"
#include "../common/phased_axis.h"

namespace fastconv::cpu {

struct GroupedCorrelation {
  int64_t N, groups, inputs, outputs;
  PhasedAxis h, w;
  Strides in, out;
  Strides weight;        // n walks the outputs of a group, c its inputs
  int64_t weight_group;  // elements between the weights of neighbouring groups
};

constexpr GroupedCorrelation grouped_forward(const Conv2dShape& s) {
  const Strides w = s.w_strides();
  return {s.N,
          s.groups,
          s.group_IC(),
          s.group_OC(),
          forward_axis(rows_axis(s)),
          forward_axis(columns_axis(s)),
          s.x_strides(),
          s.y_strides(),
          w,
          s.group_OC() * w.n};
}
constexpr GroupedCorrelation grouped_backward_input(const Conv2dShape& s) {
  const Strides w = s.w_strides();
  return {s.N,
          s.groups,
          s.group_OC(),
          s.group_IC(),
          gradient_axis(s.IH, s.OH(), s.KH, s.stride_h, s.pad_top, s.dilation_h),
          gradient_axis(s.IW, s.OW(), s.KW, s.stride_w, s.pad_left, s.dilation_w),
          s.y_strides(),
          s.x_strides(),
          Strides{w.c, w.n, w.h, w.w},
          s.group_OC() * w.n};
}

template <class T>
int64_t grouped_correlate_bytes(const GroupedCorrelation&, int threads);
template <class T>
void grouped_correlate(const GroupedCorrelation&, const T* in, const T* w, const Epilogue<T>&,
                       T* out, void* workspace, int threads);

}  // namespace fastconv::cpu
