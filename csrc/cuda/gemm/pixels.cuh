// The pixels of y as terms of backward_weight. Layer: cuda/gemm.
#pragma once

#include "../../core/shape.h"
#include "../common/divider.h"

namespace fastconv::cuda {

struct Pixel {
  int64_t x, y;  // offsets in x and grad_y
  int h, w;      // place of tap (0, 0)
};

struct Pixels {
  Strides x, y;
  int stride_h, stride_w, pad_top, pad_left;
  Divider<uint64_t> OW, OH;

  explicit Pixels(const Conv2dShape& s)
      : x(s.x_strides()),
        y(s.y_strides()),
        stride_h(int(s.stride_h)),
        stride_w(int(s.stride_w)),
        pad_top(int(s.pad_top)),
        pad_left(int(s.pad_left)),
        OW(s.OW()),
        OH(s.OH()) {}

  // Of the linear index (n * OH + oh) * OW + ow.
  __device__ __forceinline__ Pixel operator()(int64_t pixel) const {
    const auto [line, ow] = OW(uint64_t(pixel));
    const auto [n, oh] = OH(line);
    const int h = int(oh) * stride_h - pad_top, w = int(ow) * stride_w - pad_left;
    return {int64_t(n) * x.n + h * x.h + w * x.w,
            int64_t(n) * y.n + int64_t(oh) * y.h + int64_t(ow) * y.w, h, w};
  }
};

}  // namespace fastconv::cuda
