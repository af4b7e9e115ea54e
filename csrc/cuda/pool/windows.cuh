// The windows of the pools on a device, without integer division. Layer: cuda/pool.
#pragma once

#include "../../core/shape.h"
#include "../common/compat.h"
#include "../common/divider.h"
#include "../common/tuning.h"

namespace fastconv::cuda {

constexpr int POOL_THREADS = 256;

// One axis: I inputs, O outputs, windows of K taps. Divisions take 64 bits where adaptive windows
// multiply two extents.
struct Axis {
  int64_t I, O, K, stride, pad, dilation;
  bool adaptive, count_pad;
  Divider<uint64_t> by_I, by_O, by_stride, by_dilation;

  Axis(const Pool2dShape& s, bool rows)
      : I(rows ? s.IH : s.IW),
        O(rows ? s.OH : s.OW),
        K(rows ? s.KH : s.KW),
        stride(rows ? s.stride_h : s.stride_w),
        pad(rows ? s.pad_h : s.pad_w),
        dilation(s.adaptive ? 1
                 : rows     ? s.dilation_h
                            : s.dilation_w),
        adaptive(s.adaptive),
        count_pad(s.count_include_pad),
        by_I(I),
        by_O(O),
        by_stride(stride),
        by_dilation(dilation) {}

  // The window of output o: its first place, maybe outside of the image, and how many taps it has.
  __device__ __forceinline__ int64_t start(int64_t o) const {
    return adaptive ? int64_t(by_O.divide(uint64_t(o * I))) : o * stride - pad;
  }
  __device__ __forceinline__ int64_t taps(int64_t o, int64_t start) const {
    return adaptive ? int64_t(by_O.divide(uint64_t((o + 1) * I + O - 1))) - start : K;
  }
  // What an average divides by along this axis.
  __device__ __forceinline__ int64_t divisor(int64_t o) const {
    const int64_t first = start(o);
    if (adaptive) return taps(o, first);
    if (count_pad) return min64(first + K, I + pad) - first;
    return min64(first + K, I) - max64(first, 0);
  }
  // The outputs whose windows hold input i: [first, end).
  __device__ __forceinline__ Window over(int64_t i) const {
    if (adaptive)
      return {int64_t(by_I.divide(uint64_t(i * O))),
              int64_t(by_I.divide(uint64_t((i + 1) * O + I - 1)))};
    const int64_t after = i + pad - (K - 1) * dilation;
    return {after <= 0 ? 0 : int64_t(by_stride.divide(uint64_t(after + stride - 1))),
            min64(int64_t(by_stride.divide(uint64_t(i + pad))) + 1, O)};
  }
  // The tap of output o's window that is input i, which lies in its span; -1: none.
  __device__ __forceinline__ int64_t tap(int64_t o, int64_t i) const {
    const auto [q, r] = by_dilation(uint64_t(i - start(o)));
    return r == 0 ? int64_t(q) : -1;
  }
};

// Tells a thread's element of a tensor (N, C, H, W) from its index in memory.
struct Place4 {
  int64_t n, c, h, w;
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
      return {int64_t(n), int64_t(c), int64_t(h), int64_t(w)};
    }
    const auto [line, w] = W(Index(i));
    const auto [plane, h] = H(line);
    const auto [n, c] = C(plane);
    return {int64_t(n), int64_t(c), int64_t(h), int64_t(w)};
  }
};

template <class Index>
struct Pooling {
  Axis rows, columns;
  Places<Index> outputs, inputs;
  Strides x, y;
  int64_t divisor_override;

  explicit Pooling(const Pool2dShape& s)
      : rows(s, true),
        columns(s, false),
        outputs(s, s.OH, s.OW),
        inputs(s, s.IH, s.IW),
        x(dense_strides(s.channels_last, s.C, s.IH, s.IW)),
        y(dense_strides(s.channels_last, s.C, s.OH, s.OW)),
        divisor_override(s.divisor_override) {}

  __device__ __forceinline__ int64_t divisor(int64_t oh, int64_t ow) const {
    return divisor_override ? divisor_override : rows.divisor(oh) * columns.divisor(ow);
  }
};

// Calls f(Index{}) with the narrowest type that indexes both tensors.
template <class F>
cudaError_t with_index(const Pool2dShape& s, const Tuning& tuning, const F& f) {
  const bool narrow = is_narrow(max64(s.x_count(), s.y_count()) + POOL_THREADS);
  return narrow && !tuning.wide_index ? f(uint32_t{}) : f(uint64_t{});
}

template <class... P, class... A>
cudaError_t launch_elements(const char* name, void (*kernel)(P...), int64_t count,
                            cudaStream_t stream, A... arguments) {
  if (count == 0) return cudaSuccess;
  return launch(name, kernel, ceil_div(count, POOL_THREADS), POOL_THREADS, stream, arguments...);
}

}  // namespace fastconv::cuda
