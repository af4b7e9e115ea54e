// A convolution as a gather, for forward and for each phase of backward_input. Layer: cuda/common.
//
//   out[n, column, rh, rw] = sum over c, jh, jw of in[n, c, h, w] * weight[column, c, jh, jw]
//     with h = first_h + rh * row_step_h + jh * tap_step_h, w alike, and in = 0 outside its image.
//
// forward: in = x, out = y, the taps are those of the filter. backward_input: in = grad_y, out =
// grad_x. Pixels whose (ih + pad_top) has the same remainder modulo the stride are one phase: they
// use the same taps, and no product of theirs is zero by construction.
#pragma once

#include "../../core/shape.h"
#include "divider.h"

namespace fastconv::cuda {

struct Gather {
  int64_t N, RH, RW;  // images, rows and columns of pixels that are computed
  int64_t C, JH, JW;  // channels and taps that are summed over, of one group
  int64_t IH, IW;     // extents of `in`
  int64_t first_h, first_w, row_step_h, row_step_w, tap_step_h, tap_step_w;
  int64_t groups, columns;  // `columns` channels of `out` in each group
  Strides in, out;
  int64_t out_first, weight_first;
  int64_t weight_group, weight_column, weight_c, weight_h, weight_w;  // strides of weight
  bool channels_last;                                                 // of `in`

  constexpr int64_t rows() const { return N * RH * RW; }
  constexpr int64_t terms() const { return C * JH * JW; }
  constexpr int64_t channels() const { return groups * columns; }
};

inline Gather forward_gather(const Conv2dShape& s) {
  const Strides w = s.w_strides();
  Gather g{};
  g.N = s.N, g.RH = s.OH(), g.RW = s.OW();
  g.C = s.group_IC(), g.JH = s.KH, g.JW = s.KW;
  g.IH = s.IH, g.IW = s.IW;
  g.first_h = -s.pad_top, g.first_w = -s.pad_left;
  g.row_step_h = s.stride_h, g.row_step_w = s.stride_w;
  g.tap_step_h = s.dilation_h, g.tap_step_w = s.dilation_w;
  g.groups = s.groups, g.columns = s.group_OC();
  g.in = s.x_strides(), g.out = s.y_strides();
  g.weight_group = s.group_OC() * w.n, g.weight_column = w.n;
  g.weight_c = w.c, g.weight_h = w.h, g.weight_w = w.w;
  g.channels_last = s.x_channels_last;
  return g;
}

// One axis of one phase.
struct AxisPhase {
  int64_t first, count;               // pixels first, first + stride, ...
  int64_t first_tap, taps, tap_step;  // the filter's taps that they use
  int64_t position, position_step;    // of the first pixel's first tap in grad_y; of the next tap
};

inline AxisPhase axis_phase(int64_t phase, int64_t I, int64_t K, int64_t stride, int64_t pad,
                            int64_t dilation) {
  AxisPhase p{};
  p.first = ((phase - pad) % stride + stride) % stride;
  p.count = p.first < I ? ceil_div(I - p.first, stride) : 0;
  p.tap_step = 1;
  while (p.tap_step * dilation % stride != 0) ++p.tap_step;
  while (p.first_tap < p.tap_step && p.first_tap * dilation % stride != phase) ++p.first_tap;
  if (p.first_tap < p.tap_step && p.first_tap < K) p.taps = ceil_div(K - p.first_tap, p.tap_step);
  p.position = (p.first + pad - p.first_tap * dilation) / stride;
  p.position_step = -(p.tap_step * dilation / stride);
  return p;
}

// The gather of phase (phase_h, phase_w), each below its stride. It may have no rows or no terms.
inline Gather backward_input_gather(const Conv2dShape& s, int64_t phase_h, int64_t phase_w) {
  const Strides w = s.w_strides(), x = s.x_strides();
  const AxisPhase h = axis_phase(phase_h, s.IH, s.KH, s.stride_h, s.pad_top, s.dilation_h);
  const AxisPhase v = axis_phase(phase_w, s.IW, s.KW, s.stride_w, s.pad_left, s.dilation_w);
  Gather g{};
  g.N = s.N, g.RH = h.count, g.RW = v.count;
  g.C = s.group_OC(), g.JH = h.taps, g.JW = v.taps;
  g.IH = s.OH(), g.IW = s.OW();
  g.first_h = h.position, g.first_w = v.position;
  g.row_step_h = 1, g.row_step_w = 1;
  g.tap_step_h = h.position_step, g.tap_step_w = v.position_step;
  g.groups = s.groups, g.columns = s.group_IC();
  g.in = s.y_strides();
  g.out = {x.n, x.c, x.h * s.stride_h, x.w * s.stride_w};
  g.out_first = h.first * x.h + v.first * x.w;
  g.weight_first = h.first_tap * w.h + v.first_tap * w.w;
  g.weight_group = s.group_OC() * w.n, g.weight_column = w.c;
  g.weight_c = w.n, g.weight_h = h.tap_step * w.h, g.weight_w = v.tap_step * w.w;
  g.channels_last = s.y_channels_last;
  return g;
}

}  // namespace fastconv::cuda
