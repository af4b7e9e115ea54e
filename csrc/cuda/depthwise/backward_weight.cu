// Depthwise backward_weight, and backward_bias of any convolution. Layer: cuda/depthwise.
//
//   grad_w[oc,0,kh,kw] = sum over n,oh,ow of grad_y[n,oc,oh,ow] * x[n,group,ih,iw]
//   grad_bias[oc] = sum over n,oh,ow of grad_y[n,oc,oh,ow], the same sum with one tap and x = 1
//
// A block sums a range of pixels for TAPS taps of one channel (NCHW) or of 32 channels (NHWC). A
// thread keeps the sums of all its taps in registers, so grad_y is read once for TAPS taps. Then
// the block's threads add theirs: NCHW by shuffles and 8 sums of warps, NHWC through 8 x 32 sums.
// Shared memory: at most 8 * 25 sums + 8 * 32 sums. sum_partials adds the ranges, in order.
#include "depthwise.h"

#include "../common/divider.h"
#include "../common/partials.cuh"

namespace fastconv::cuda {
namespace {

// At least, of a multiprocessor: 128 registers, 25 of them sums. Sums in double take twice as many.
template <class Sum>
constexpr int BLOCKS = sizeof(Sum) == 8 ? 1 : 2;
constexpr int THREADS = 256, LANES = 32, WARPS = THREADS / LANES;
constexpr int64_t LEAST_PIXELS = 8 * THREADS;   // of a range: below, the second stage costs more
constexpr int SMALL_TAPS = 9, LARGE_TAPS = 25;  // sums in registers: 3x3, 5x5

struct Work {
  int64_t pixels, range;  // n,oh,ow together; pixels of a block
  int64_t channel_blocks,
      tap_blocks;  // blockIdx.x = (split * tap_blocks + tap block) * channel_blocks + ...
  int64_t OC, taps;
};

template <class T, class Index>
struct Operands {
  Conv2dShape s;
  Strides x_strides, y_strides;
  Divider<Index> OW, OH;
  const T *grad_y, *x;  // x is null for the bias
};

// Adds the terms of one pixel to the sums of taps [first_tap, first_tap + TAPS).
template <int TAPS, class T, class Index>
__device__ __forceinline__ void add_pixel(const Operands<T, Index>& o, Index pixel, int64_t oc,
                                          int64_t ic, int first_kh, int first_kw, int taps,
                                          SumOf<T> (&sums)[TAPS]) {
  const auto [line, ow] = o.OW(pixel);
  const auto [n, oh] = o.OH(line);
  const SumOf<T> g = widen(o.grad_y[int64_t(n) * o.y_strides.n + oc * o.y_strides.c +
                                    int64_t(oh) * o.y_strides.h + int64_t(ow) * o.y_strides.w]);
  if (!o.x) {
    sums[0] += g;
    return;
  }
  const T* plane = o.x + int64_t(n) * o.x_strides.n + ic * o.x_strides.c;
  const int top = int(oh) * int(o.s.stride_h) - int(o.s.pad_top);
  const int left = int(ow) * int(o.s.stride_w) - int(o.s.pad_left);
  const int IH = int(o.s.IH), IW = int(o.s.IW);
  int kh = first_kh, kw = first_kw;
#pragma unroll
  for (int t = 0; t < TAPS; ++t) {
    const int ih = top + kh * int(o.s.dilation_h), iw = left + kw * int(o.s.dilation_w);
    if (t < taps && ih >= 0 && ih < IH && iw >= 0 && iw < IW)
      sums[t] += g * widen(plane[ih * o.x_strides.h + iw * o.x_strides.w]);
    if (++kw == int(o.s.KW)) kw = 0, ++kh;
  }
}

template <class T, class Index, int TAPS, bool LAST>
__global__ void __launch_bounds__(THREADS, BLOCKS<SumOf<T>>)
    sum_ranges(Work work, Operands<T, Index> o, SumOf<T>* __restrict__ partials) {
  FC_BLOCK(THREADS);
  using Sum = SumOf<T>;
  FC_SHARED(Sum, of_warps, [WARPS][LAST ? LANES : TAPS]);
  const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
  const int64_t above = blockIdx.x / work.channel_blocks;
  const int64_t channel_block = blockIdx.x - above * work.channel_blocks;
  const int64_t split = above / work.tap_blocks,
                first_tap = (above - split * work.tap_blocks) * TAPS;
  const int64_t oc = LAST ? channel_block * LANES + lane : channel_block;
  const int taps = int(min64(TAPS, work.taps - first_tap));
  const int first_kh = int(first_tap / o.s.KW), first_kw = int(first_tap - first_kh * o.s.KW);
  Sum sums[TAPS] = {};
  if (oc < work.OC) {
    const int64_t ic = oc / o.s.group_OC();
    const int64_t end = min64((split + 1) * work.range, work.pixels);
    const int64_t first = split * work.range + (LAST ? warp : int(threadIdx.x));
    for (int64_t pixel = first; pixel < end; pixel += LAST ? WARPS : THREADS)
      add_pixel<TAPS>(o, Index(pixel), oc, ic, first_kh, first_kw, taps, sums);
  }
  partials += split * work.OC * work.taps + first_tap;
  if constexpr (LAST) {
#pragma unroll
    for (int t = 0; t < TAPS; ++t) {
      of_warps[warp][lane] = sums[t];
      __syncthreads();  // all sums of this tap are written
      if (warp == 0 && oc < work.OC && t < taps) {
        Sum sum = 0;
        for (int i = 0; i < WARPS; ++i) sum += of_warps[i][lane];
        partials[oc * work.taps + t] = sum;
      }
      __syncthreads();  // they are read, before the next tap's are written
    }
  } else {
#pragma unroll
    for (int t = 0; t < TAPS; ++t) {
      for (int lanes = LANES / 2; lanes > 0; lanes /= 2) sums[t] += shuffle_down(sums[t], lanes);
      if (lane == 0) of_warps[warp][t] = sums[t];
    }
    __syncthreads();  // the warps' sums are written
    if (int(threadIdx.x) < taps) {
      Sum sum = 0;
      for (int i = 0; i < WARPS; ++i) sum += of_warps[i][threadIdx.x];
      partials[oc * work.taps + threadIdx.x] = sum;
    }
  }
}

// 64-bit indices are rare: no kernel for many taps is compiled for them.
bool is_wide(const Conv2dShape& s, const Tuning& tuning) {
  // A range begins after fewer than all pixels, and no range is longer.
  return tuning.wide_index || !is_narrow(2 * max64(1, s.N * s.OH() * s.OW()));
}

// How a shape is divided. bias: one tap for each output channel.
struct Plan {
  bool last;
  int64_t taps, block_taps, splits;
  Work work;
};

Plan plan_of(const Conv2dShape& s, bool bias, const Tuning& tuning) {
  Plan p{};
  p.last = s.y_channels_last && s.OC > 1;
  p.taps = bias ? 1 : s.KH * s.KW;
  const bool small = p.taps <= SMALL_TAPS || is_wide(s, tuning);
  p.block_taps = bias ? 1 : small ? SMALL_TAPS : LARGE_TAPS;
  p.work = {s.N * s.OH() * s.OW(),          0,    p.last ? ceil_div(s.OC, LANES) : s.OC,
            ceil_div(p.taps, p.block_taps), s.OC, p.taps};
  const int64_t blocks = p.work.channel_blocks * p.work.tap_blocks;
  p.splits = tuning.splits > 0 ? min64(tuning.splits, MAX_SPLITS)
                               : choose_splits(blocks, p.work.pixels, LEAST_PIXELS);
  p.work.range = max64(1, ceil_div(p.work.pixels, p.splits));
  return p;
}

template <int TAPS, class T, class Index>
cudaError_t launch_ranges(const Plan& p, const Operands<T, Index>& o, SumOf<T>* partials,
                          cudaStream_t stream) {
  const int64_t blocks = p.work.channel_blocks * p.work.tap_blocks * p.splits;
  const char* name = "sum over pixels";
  if (p.last)
    return launch(name, sum_ranges<T, Index, TAPS, true>, blocks, THREADS, stream, p.work, o,
                  partials);
  return launch(name, sum_ranges<T, Index, TAPS, false>, blocks, THREADS, stream, p.work, o,
                partials);
}

template <class T, class Index>
cudaError_t run_ranges(const Conv2dShape& s, const Plan& p, const T* grad_y, const T* x, T* out,
                       void* workspace, cudaStream_t stream) {
  if (p.work.OC * p.taps == 0) return cudaSuccess;
  auto* partials = static_cast<SumOf<T>*>(workspace);
  const Operands<T, Index> o{
      s, s.x_strides(), s.y_strides(), Divider<Index>(s.OW()), Divider<Index>(s.OH()), grad_y, x};
  cudaError_t error = cudaErrorInvalidValue;
  if (p.block_taps == 1)
    error = launch_ranges<1>(p, o, partials, stream);
  else if (p.block_taps == SMALL_TAPS)
    error = launch_ranges<SMALL_TAPS>(p, o, partials, stream);
  else if constexpr (sizeof(Index) == 4)
    error = launch_ranges<LARGE_TAPS>(p, o, partials, stream);
  if (error != cudaSuccess) return error;
  return launch_sum_partials(p.work.OC * p.taps, p.splits, partials, out, stream);
}

template <class T>
cudaError_t run(const Conv2dShape& s, bool bias, const T* grad_y, const T* x, T* out,
                void* workspace, const Tuning& tuning, cudaStream_t stream) {
  const Plan p = plan_of(s, bias, tuning);
  if (is_wide(s, tuning)) return run_ranges<T, uint64_t>(s, p, grad_y, x, out, workspace, stream);
  return run_ranges<T, uint32_t>(s, p, grad_y, x, out, workspace, stream);
}

template <class T>
int64_t workspace_bytes(const Plan& p) {
  return p.splits * p.work.OC * p.taps * int64_t(sizeof(SumOf<T>));
}

}  // namespace

template <class T>
int64_t depthwise_weight_workspace(const Conv2dShape& s, const Tuning& tuning) {
  return workspace_bytes<T>(plan_of(s, false, tuning));
}
template <class T>
cudaError_t depthwise_backward_weight(const Conv2dShape& s, const T* grad_y, const T* x, T* grad_w,
                                      void* workspace, const Tuning& tuning, cudaStream_t stream) {
  return run(s, false, grad_y, x, grad_w, workspace, tuning, stream);
}
template <class T>
int64_t bias_workspace(const Conv2dShape& s, const Tuning& tuning) {
  return workspace_bytes<T>(plan_of(s, true, tuning));
}
template <class T>
cudaError_t backward_bias(const Conv2dShape& s, const T* grad_y, T* grad_bias, void* workspace,
                          const Tuning& tuning, cudaStream_t stream) {
  return run<T>(s, true, grad_y, nullptr, grad_bias, workspace, tuning, stream);
}

#define INSTANTIATE(T)                                                                       \
  template int64_t depthwise_weight_workspace<T>(const Conv2dShape&, const Tuning&);         \
  template cudaError_t depthwise_backward_weight(const Conv2dShape&, const T*, const T*, T*, \
                                                 void*, const Tuning&, cudaStream_t);        \
  template int64_t bias_workspace<T>(const Conv2dShape&, const Tuning&);                     \
  template cudaError_t backward_bias(const Conv2dShape&, const T*, T*, void*, const Tuning&, \
                                     cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
