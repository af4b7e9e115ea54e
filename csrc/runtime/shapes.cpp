// The checks of shapes. Layer: runtime.
#include "shapes.h"

#include <initializer_list>
#include <stdexcept>
#include <string>

namespace fastconv::runtime {
namespace {

// Extents are below 2^31 and their products are at most 2^62, so that no formula of shape.h
// overflows.
constexpr int64_t MAX_EXTENT = int64_t(1) << 31;
constexpr int64_t MAX_PRODUCT = int64_t(1) << 62;

void check(bool holds, const std::string& sentence) {
  if (!holds) throw std::invalid_argument(sentence);
}

void check_extent(const char* name, int64_t value, int64_t low) {
  check(value >= low && value < MAX_EXTENT, std::string(name) + " must be at least " +
                                                std::to_string(low) + " and below 2^31, got " +
                                                std::to_string(value));
}

void check_product(const char* name, std::initializer_list<int64_t> extents) {
  int64_t product = 1;
  for (const int64_t extent : extents) {
    if (extent == 0) return;
    check(product <= MAX_PRODUCT / extent, std::string(name) + " has more than 2^62 elements");
    product *= extent;
  }
}

}  // namespace

Conv2dShape make_conv2d_shape(Quad input, Quad weight, Pair stride, Quad padding, Pair dilation,
                              int64_t groups, bool x_channels_last, bool w_channels_last,
                              bool y_channels_last) {
  const Conv2dShape s{input[0],   input[1],        input[2],        input[3],       weight[0],
                      weight[2],  weight[3],       stride[0],       stride[1],      padding[0],
                      padding[1], padding[2],      padding[3],      dilation[0],    dilation[1],
                      groups,     x_channels_last, w_channels_last, y_channels_last};
  for (const int64_t extent : input) check_extent("input extent", extent, 0);
  check_extent("OC", s.OC, 0);
  check_extent("KH", s.KH, 1);
  check_extent("KW", s.KW, 1);
  for (const int64_t x : {s.stride_h, s.stride_w}) check_extent("stride", x, 1);
  for (const int64_t x : padding) check_extent("padding", x, 0);
  for (const int64_t x : {s.dilation_h, s.dilation_w}) check_extent("dilation", x, 1);
  check_extent("groups", s.groups, 1);
  check(s.IC % s.groups == 0 && s.OC % s.groups == 0, "IC and OC must be divisible by groups");
  check(weight[1] == s.group_IC(), "weight must have IC / groups input channels");
  check(s.IH + s.pad_top + s.pad_bottom > s.dilation_h * (s.KH - 1) &&
            s.IW + s.pad_left + s.pad_right > s.dilation_w * (s.KW - 1),
        "the dilated kernel is larger than the padded input");
  check_product("input", {s.N, s.IC, s.IH, s.IW});
  check_product("weight", {s.OC, s.group_IC(), s.KH, s.KW});
  check_product("output", {s.N, s.OC, s.OH(), s.OW()});
  check_product("the sum of products",
                {s.N, s.OC, s.OH(), s.OW(), max64(1, s.group_IC()), s.KH, s.KW});
  return s;
}

namespace {

void check_pool(const Pool2dShape& s) {
  for (const int64_t x : {s.N, s.C, s.IH, s.IW, s.OH, s.OW}) check_extent("extent", x, 0);
  check_product("input", {s.N, s.C, s.IH, s.IW});
  check_product("output", {s.N, s.C, s.OH, s.OW});
  check(product_below(MAX_EXTENT, s.KH, s.KW, 1), "the window has 2^31 elements or more");
  for (const int64_t reach :
       {s.IH + 2 * s.pad_h + s.KH * s.dilation_h, s.IW + 2 * s.pad_w + s.KW * s.dilation_w})
    check_extent("padded input and window together", reach, 0);
  check_product("the sum over windows", {s.N, s.C, s.OH, s.OW, s.KH, s.KW});
}

}  // namespace

Pool2dShape make_pool2d_shape(Quad input, Pair kernel, Pair stride, Pair padding, Pair dilation,
                              bool ceil_mode, bool count_include_pad, int64_t divisor_override,
                              bool channels_last) {
  for (const int64_t x : kernel) check_extent("kernel", x, 1);
  for (const int64_t x : stride) check_extent("stride", x, 1);
  for (const int64_t x : padding) check_extent("padding", x, 0);
  for (const int64_t x : dilation) check_extent("dilation", x, 1);
  for (const int64_t x : input) check_extent("input extent", x, 0);
  for (int i = 0; i < 2; ++i)
    check(2 * padding[i] <= kernel[i], "padding must be at most half of the kernel");
  const auto extent = [&](int i) {
    return pooled_extent(input[2 + i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode);
  };
  const Pool2dShape s{input[0],          input[1],   input[2],     input[3],    extent(0),
                      extent(1),         kernel[0],  kernel[1],    stride[0],   stride[1],
                      padding[0],        padding[1], dilation[0],  dilation[1], divisor_override,
                      count_include_pad, false,      channels_last};
  check(s.OH >= 1 && s.OW >= 1, "the pooled output is empty");
  check_pool(s);
  return s;
}

Pool2dShape make_adaptive_shape(Quad input, Pair output, bool channels_last) {
  const auto longest = [&](int i) {  // window
    const int64_t in = input[2 + i], out = max64(1, output[i]);
    return max64(1, in / out + (in % out == 0 ? 0 : 2));
  };
  const Pool2dShape s{input[0],   input[1],   input[2], input[3], output[0], output[1],
                      longest(0), longest(1), 1,        1,        0,         0,
                      1,          1,          0,        false,    true,      channels_last};
  check_pool(s);
  check((s.IH > 0 && s.IW > 0) || s.OH * s.OW == 0, "an empty plane cannot be pooled");
  return s;
}

UnpoolShape make_unpool_shape(const std::vector<int64_t>& input, const std::vector<int64_t>& output,
                              bool channels_last) {
  const size_t dims = output.size();
  check((dims == 2 || dims == 3) && input.size() == dims + 2,
        "max_unpool takes (N, C, H, W) and (H, W), or (N, C, D, H, W) and (D, H, W)");
  check(dims == 2 || !channels_last, "volumes are not channels_last");
  const auto depth = [&](const std::vector<int64_t>& sizes) {
    return dims == 3 ? sizes[sizes.size() - 3] : 1;
  };
  const UnpoolShape s{input[0],        input[1],      depth(input),     input[dims],
                      input[dims + 1], depth(output), output[dims - 2], output[dims - 1],
                      dims == 3,       channels_last};
  for (const int64_t x : {s.N, s.C, s.ID, s.IH, s.IW, s.OD, s.OH, s.OW})
    check_extent("extent", x, 0);
  check_product("input", {s.N, s.C, s.ID, s.IH, s.IW});
  check_product("output", {s.N, s.C, s.OD, s.OH, s.OW});
  return s;
}

}  // namespace fastconv::runtime
