// Extents of every operation, and the formulas that define them. Layer: core.
//   conv2d: y[n,oc,oh,ow] = bias[oc] + sum over ic,kh,kw of w[oc,ic,kh,kw] * x[n,ic,ih,iw]
//     with ih = oh * stride_h + kh * dilation_h - pad_top, iw alike, and x = 0 outside the image.
#pragma once

#include <cstdint>

namespace fastconv {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
constexpr int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
constexpr int64_t clamp64(int64_t a, int64_t low, int64_t high) {
  return min64(max64(a, low), high);
}

// Returns whether a * b * c < limit. The product may exceed int64.
constexpr bool product_below(int64_t limit, int64_t a, int64_t b, int64_t c) {
  if (a == 0 || b == 0 || c == 0) return limit > 0;
  return a <= (limit - 1) / b && a * b <= (limit - 1) / c;
}

// Distance in elements between neighbours along each axis of a 4-D tensor.
struct Strides {
  int64_t n, c, h, w;
};

// Dense (N, C, H, W) tensor: NCHW in memory, or NHWC ("channels last").
constexpr Strides dense_strides(bool channels_last, int64_t C, int64_t H, int64_t W) {
  return channels_last ? Strides{C * H * W, 1, W * C, C} : Strides{C * H * W, H * W, W, 1};
}

struct Conv2dShape {
  int64_t N, IC, IH, IW;  // input
  int64_t OC, KH, KW;     // filter: (OC, IC / groups, KH, KW)
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  int64_t dilation_h, dilation_w;
  int64_t groups;
  bool x_channels_last, w_channels_last, y_channels_last;  // gradients share their tensor's layout

  constexpr int64_t OH() const {
    return (IH + pad_top + pad_bottom - dilation_h * (KH - 1) - 1) / stride_h + 1;
  }
  constexpr int64_t OW() const {
    return (IW + pad_left + pad_right - dilation_w * (KW - 1) - 1) / stride_w + 1;
  }
  constexpr int64_t group_IC() const { return IC / groups; }
  constexpr int64_t group_OC() const { return OC / groups; }
  // Products summed per output element.
  constexpr int64_t terms() const { return group_IC() * KH * KW; }
  constexpr int64_t x_count() const { return N * IC * IH * IW; }
  constexpr int64_t w_count() const { return OC * terms(); }
  constexpr int64_t y_count() const { return N * OC * OH() * OW(); }
  constexpr int64_t multiply_adds() const { return y_count() * terms(); }

  constexpr Strides x_strides() const { return dense_strides(x_channels_last, IC, IH, IW); }
  // Strides of the filter: n is the output channel, c the input channel within a group.
  constexpr Strides w_strides() const { return dense_strides(w_channels_last, group_IC(), KH, KW); }
  constexpr Strides y_strides() const { return dense_strides(y_channels_last, OC, OH(), OW()); }
};

// Returns the extent of one axis of a pooled output. With ceil_mode the last window may extend
// beyond the far edge, but must start inside the image or its near padding.
constexpr int64_t pooled_extent(int64_t input, int64_t kernel, int64_t stride, int64_t pad,
                                int64_t dilation, bool ceil_mode) {
  const int64_t span = input + 2 * pad - dilation * (kernel - 1) - 1;
  if (span < 0) return ceil_mode && span > -stride ? 1 : 0;
  const int64_t extent = (ceil_mode ? ceil_div(span, stride) : span / stride) + 1;
  return ceil_mode && (extent - 1) * stride >= input + pad ? extent - 1 : extent;
}

// The elements first, first + step, ... below end of one axis.
struct Window {
  int64_t first, end;
};

// The windows of one axis. This is the only place that cuts them off at the edges of the image.
struct PoolAxis {
  int64_t I, O, K, stride, pad, dilation;
  bool adaptive;

  constexpr int64_t start(int64_t o) const { return adaptive ? o * I / O : o * stride - pad; }
  constexpr Window window(int64_t o) const {
    if (adaptive) return {o * I / O, ceil_div((o + 1) * I, O)};
    const int64_t at = o * stride - pad;
    const int64_t first = at >= 0 ? at : at + ceil_div(-at, dilation) * dilation;
    return {first, min64(at + (K - 1) * dilation + 1, I)};
  }
  constexpr Window over(int64_t i) const {
    if (adaptive) return {i * O / I, ceil_div((i + 1) * O, I)};
    const int64_t after = i + pad - (K - 1) * dilation;
    return {after <= 0 ? 0 : ceil_div(after, stride), min64((i + pad) / stride + 1, O)};
  }
  // over(i) from over(i - 1), or from that of any earlier input, without a division.
  constexpr Window over(int64_t i, Window before) const {
    if (adaptive) return over(i);
    while (before.first * stride - pad + (K - 1) * dilation < i) ++before.first;
    while (before.end < O && before.end * stride - pad <= i) ++before.end;
    return before;
  }
  constexpr int64_t divisor(int64_t o, bool count_include_pad) const {
    const Window inside = window(o);
    if (adaptive || !count_include_pad) return inside.end - inside.first;
    return min64(o * stride - pad + K, I + pad) - (o * stride - pad);
  }
};

//   max_pool2d: y[n,c,oh,ow] = max over the window of x[n,c,ih,iw]; first maximum, last NaN;
//   padding is -inf. avg_pool2d: y[n,c,oh,ow] = sum over the window of x[n,c,ih,iw] / divisor;
//   padding is 0.
// The window of (oh, ow) is ih = oh * stride_h + kh * dilation_h - pad_h, iw alike, inside the
// image; adaptive windows are floor(oh * IH / OH) <= ih < ceil((oh + 1) * IH / OH).
struct Pool2dShape {
  int64_t N, C, IH, IW;
  int64_t OH, OW;
  int64_t KH, KW;
  int64_t stride_h, stride_w;
  int64_t pad_h, pad_w;
  int64_t dilation_h, dilation_w;
  int64_t divisor_override;  // 0: none
  bool count_include_pad;
  bool adaptive;
  bool channels_last;  // layout of x, y, codes and their gradients

  constexpr int64_t x_count() const { return N * C * IH * IW; }
  constexpr int64_t y_count() const { return N * C * OH * OW; }
  // A code is the place of the maximum in its window, kh * KW + kw. It takes one byte, or four if
  // the window has more than 256 elements.
  constexpr bool byte_codes() const { return KH * KW <= 256; }

  constexpr Window rows(int64_t oh) const { return vertical().window(oh); }
  constexpr Window columns(int64_t ow) const { return horizontal().window(ow); }
  // Where the window begins, in the padding too.
  constexpr int64_t row_start(int64_t oh) const { return vertical().start(oh); }
  constexpr int64_t column_start(int64_t ow) const { return horizontal().start(ow); }
  // Outputs [first, end): those whose windows reach over the input. With dilation not all hold it.
  constexpr Window rows_over(int64_t ih) const { return vertical().over(ih); }
  constexpr Window columns_over(int64_t iw) const { return horizontal().over(iw); }
  // avg_pool2d divides by the product of these two extents.
  constexpr int64_t rows_divisor(int64_t oh) const {
    return vertical().divisor(oh, count_include_pad);
  }
  constexpr int64_t columns_divisor(int64_t ow) const {
    return horizontal().divisor(ow, count_include_pad);
  }

  constexpr PoolAxis vertical() const {
    return {IH, OH, KH, stride_h, pad_h, dilation_h, adaptive};
  }
  constexpr PoolAxis horizontal() const {
    return {IW, OW, KW, stride_w, pad_w, dilation_w, adaptive};
  }
};

// max_unpool: y[n,c,indices[n,c,i]] = x[n,c,i], and 0 elsewhere, where i and the indices count the
// elements of a plane, or of a volume. Of equal indices the last counts.
struct UnpoolShape {
  int64_t N, C;
  int64_t ID, IH, IW;  // of x; an image has the depth 1
  int64_t OD, OH, OW;  // of y
  bool is_volume;
  bool channels_last;  // layout of x, indices, y and their gradients; of images alone

  constexpr int64_t in() const { return ID * IH * IW; }
  constexpr int64_t out() const { return OD * OH * OW; }
  constexpr int64_t x_count() const { return N * C * in(); }
  constexpr int64_t y_count() const { return N * C * out(); }
};

}  // namespace fastconv
