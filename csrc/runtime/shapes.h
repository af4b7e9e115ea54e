// Makes the shapes of calls, and checks them once, so that kernels need no checks. Layer: runtime.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "../core/shape.h"

namespace fastconv::runtime {

using Pair = std::array<int64_t, 2>;
using Quad = std::array<int64_t, 4>;

// The shapes of a call. They throw std::invalid_argument, which names what is wrong.
Conv2dShape make_conv2d_shape(Quad input, Quad weight, Pair stride, Quad padding, Pair dilation,
                              int64_t groups, bool x_channels_last, bool w_channels_last,
                              bool y_channels_last);
Pool2dShape make_pool2d_shape(Quad input, Pair kernel, Pair stride, Pair padding, Pair dilation,
                              bool ceil_mode, bool count_include_pad, int64_t divisor_override,
                              bool channels_last);
Pool2dShape make_adaptive_shape(Quad input, Pair output, bool channels_last);
// `input`: N, C and two or three extents; `output`: as many extents.
UnpoolShape make_unpool_shape(const std::vector<int64_t>& input, const std::vector<int64_t>& output,
                              bool channels_last);

}  // namespace fastconv::runtime
