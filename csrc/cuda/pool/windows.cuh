// The windows of the pools on a device, without integer division. Layer: cuda/pool.
#pragma once

#include "../../core/shape.h"
#include "../common/compat.h"
#include "../common/divider.h"
#include "../common/tuning.h"

namespace fastconv::cuda {

constexpr int POOL_THREADS = 256;
// Rows of grad_x under each other that a thread of backward computes: the rows of grad_y between them
// are read by one block, where it would be two for every row.
constexpr int GRAD_ROWS = 4;

// Outputs or inputs [first, end) along an axis.
struct Span {
  int first, end;
};

// One axis: I inputs, O outputs, windows of K taps. Places are 32-bit numbers (places_fit), but
// adaptive windows multiply two extents.
struct Axis {
  int I, O, K, stride, pad, dilation;
  bool adaptive, count_pad;
  Divider<uint32_t> by_stride, by_dilation;
  Divider<uint64_t> by_I, by_O;

  Axis(const Pool2dShape& s, bool rows)
      : I(int(rows ? s.IH : s.IW)),
        O(int(rows ? s.OH : s.OW)),
        K(int(rows ? s.KH : s.KW)),
        stride(int(rows ? s.stride_h : s.stride_w)),
        pad(int(rows ? s.pad_h : s.pad_w)),
        dilation(s.adaptive ? 1
                 : rows     ? int(s.dilation_h)
                            : int(s.dilation_w)),
        adaptive(s.adaptive),
        count_pad(s.count_include_pad),
        by_stride(stride),
        by_dilation(dilation),
        by_I(I),
        by_O(O) {}

  // The window of output o: its first place, maybe outside of the image, and how many taps it has.
  __device__ __forceinline__ int start(int o) const {
    return adaptive ? int(by_O.divide(uint64_t(o) * uint64_t(I))) : o * stride - pad;
  }
  __device__ __forceinline__ int taps(int o, int start) const {
    return adaptive ? int(by_O.divide(uint64_t(o + 1) * uint64_t(I) + uint64_t(O - 1))) - start : K;
  }
  // The places of a window of an average that are inside of the image.
  __device__ __forceinline__ Span inside(int o) const {
    const int first = start(o), end = first + taps(o, first);
    return {first > 0 ? first : 0, end < I ? end : I};
  }
  // What an average divides by along this axis.
  __device__ __forceinline__ int divisor(int o) const {
    const int first = start(o);
    if (adaptive) return taps(o, first);
    const int end = first + K, most = count_pad ? I + pad : I;
    return (end < most ? end : most) - (count_pad || first > 0 ? first : 0);
  }
  // The outputs whose windows hold input i.
  __device__ __forceinline__ Span over(int i) const {
    if (adaptive)
      return {int(by_I.divide(uint64_t(i) * uint64_t(O))),
              int(by_I.divide(uint64_t(i + 1) * uint64_t(O) + uint64_t(I - 1)))};
    const int after = i + pad - (K - 1) * dilation;
    const int end = int(by_stride.divide(uint32_t(i + pad))) + 1;
    return {after <= 0 ? 0 : int(by_stride.divide(uint32_t(after + stride - 1))),
            end < O ? end : O};
  }
  // The tap of output o's window that is input i, which lies in its span; -1: none.
  __device__ __forceinline__ int tap(int o, int i) const {
    const auto [q, r] = by_dilation(uint32_t(i - start(o)));
    return r == 0 ? int(q) : -1;
  }
};

// Whether places along the axes of a shape are 32-bit numbers; the host asks.
constexpr int64_t MAX_PLACE = int64_t(1) << 30;
constexpr bool places_fit(const Pool2dShape& s) {
  return s.IH + 2 * s.pad_h + s.stride_h < MAX_PLACE && s.OH < MAX_PLACE && s.KH < MAX_PLACE &&
         s.IW + 2 * s.pad_w + s.stride_w < MAX_PLACE && s.OW < MAX_PLACE && s.KW < MAX_PLACE &&
         product_below(MAX_PLACE, s.KH, s.dilation_h, 1) &&
         product_below(MAX_PLACE, s.KW, s.dilation_w, 1);
}

// Tells a thread's element of a tensor (N, C, H, W) from its index in memory.
struct Place4 {
  int64_t n, c;
  int h, w;
};
template <class Index>
struct Places {
  int64_t count;
  bool channels_last;
  Divider<Index> C, H, W;

  Places(const Pool2dShape& s, int64_t H, int64_t W)
      : count(s.N * s.C * H * W), channels_last(s.channels_last), C(s.C), H(H), W(W) {}

  __device__ __forceinline__ Place4 operator()(int64_t i) const {
    if (channels_last) {
      const auto [pixel, c] = C(Index(i));
      const auto [line, w] = W(pixel);
      const auto [n, h] = H(line);
      return {int64_t(n), int64_t(c), int(h), int(w)};
    }
    const auto [line, w] = W(Index(i));
    const auto [plane, h] = H(line);
    const auto [n, c] = C(plane);
    return {int64_t(n), int64_t(c), int(h), int(w)};
  }
};

template <class Index>
struct Pooling {
  Axis rows, columns;
  Places<Index> outputs, inputs;  // inputs: GRAD_ROWS rows each
  Strides x, y;
  int64_t divisor_override;

  explicit Pooling(const Pool2dShape& s)
      : rows(s, true),
        columns(s, false),
        outputs(s, s.OH, s.OW),
        inputs(s, ceil_div(s.IH, GRAD_ROWS), s.IW),
        x(dense_strides(s.channels_last, s.C, s.IH, s.IW)),
        y(dense_strides(s.channels_last, s.C, s.OH, s.OW)),
        divisor_override(s.divisor_override) {}

  template <class Sum>
  __device__ __forceinline__ Sum divisor(int oh, int ow) const {
    if (divisor_override) return Sum(divisor_override);
    return Sum(int64_t(rows.divisor(oh)) * columns.divisor(ow));
  }
};

// Calls f(Index{}) with the narrowest type that indexes both tensors, if places fit.
template <class F>
cudaError_t with_index(const Pool2dShape& s, const Tuning& tuning, const F& f) {
  if (!places_fit(s)) return cudaErrorInvalidValue;
  const bool narrow = is_narrow(max64(s.x_count(), s.y_count()) + POOL_THREADS);
  return narrow && !tuning.wide_index ? f(uint32_t{}) : f(uint64_t{});
}

template <class... P, class... A>
cudaError_t launch_elements(const char* name, void (*kernel)(P...), int64_t count,
                            cudaStream_t stream, A... arguments) {
  if (count == 0) return cudaSuccess;
  return launch(name, kernel, ceil_div(count, POOL_THREADS), POOL_THREADS, stream, arguments...);
}
// A thread for every GRAD_ROWS elements of grad_x.
template <class K, class P, class... A>
cudaError_t launch_gradients(const char* name, K kernel, const P& pooling, cudaStream_t stream,
                             A... arguments) {
  return launch_elements(name, kernel, pooling.inputs.count, stream, pooling, arguments...);
}

}  // namespace fastconv::cuda
