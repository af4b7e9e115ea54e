// One axis of a convolution: which source rows (columns) each output reads. Layer: cpu, for drivers.
#pragma once

#include <cstdint>
#include <numeric>

#include "../../core/shape.h"

namespace fastconv::cpu {

// Output i, tap a of one axis reads source i * stride + first + a * step.
struct Axis {
  int64_t source, outputs, stride;
  int64_t taps, first, step;

  constexpr int64_t lowest_tap() const { return first + min64(0, (taps - 1) * step); }
  constexpr int64_t span() const {
    return taps == 0 ? 1 : (taps - 1) * (step < 0 ? -step : step) + 1;
  }
};

// The axes of a forward convolution.
constexpr Axis rows_axis(const Conv2dShape& s) {
  return {s.IH, s.OH(), s.stride_h, s.KH, -s.pad_top, s.dilation_h};
}
constexpr Axis columns_axis(const Conv2dShape& s) {
  return {s.IW, s.OW(), s.stride_w, s.KW, -s.pad_left, s.dilation_w};
}

// One phase of the gradient of an axis: the source rows r + i * stride, as outputs i of a correlation
// over the rows of grad_y. Every step_k-th tap from first_k on reaches it.
struct Phase {
  Axis axis;
  int64_t first_k, step_k;
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

}  // namespace fastconv::cpu
