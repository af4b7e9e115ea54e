// Convolution backward_weight as an implicit matrix product, its sum split. Layer: cuda/gemm.
//
//   grad_w[oc, (c,kh,kw)] = sum over pixels (n,oh,ow) of grad_y[pixel, oc] * x[pixel, (c,kh,kw)]
//   M = channels of a group, N = its taps, K = N * OH * OW pixels
//
// K is large and the results are few, so a block owns 64 channels x 64 taps of one range of pixels
// (tile.cuh), and sum_partials adds the ranges in order. NCHW: neighbouring threads fetch
// neighbouring pixels. NHWC: neighbouring channels.
#include "gemm.h"

#include "../common/divider.h"
#include "../common/partials.cuh"
#include "tile.cuh"

namespace fastconv::cuda {
namespace {

constexpr int64_t LEAST_PIXELS = 16 * TILE_K;  // of a range: below, the second stage costs more

struct Work {
  Conv2dShape s;
  Strides x, y, w;
  int64_t pixels, range, taps, w_count;
  int64_t tiles_m, tiles_n;  // of a group
  Divider<uint64_t> OW, OH;
};

struct Pixel {
  int64_t x, y;  // offsets in x and grad_y
  int h, w;      // place of tap (0, 0)
};
__device__ __forceinline__ Pixel pixel_of(const Work& p, int64_t pixel) {
  const auto [line, ow] = p.OW(uint64_t(pixel));
  const auto [n, oh] = p.OH(line);
  const int h = int(oh) * int(p.s.stride_h) - int(p.s.pad_top);
  const int w = int(ow) * int(p.s.stride_w) - int(p.s.pad_left);
  return {int64_t(n) * p.x.n + h * p.x.h + w * p.x.w,
          int64_t(n) * p.y.n + int64_t(oh) * p.y.h + int64_t(ow) * p.y.w, h, w};
}

struct Tap {
  int64_t x, w;  // offsets in x and grad_w
  int h, v;      // place relative to tap (0, 0)
  bool exists;
};
template <bool LAST>
__device__ __forceinline__ Tap tap_of(const Work& p, int64_t tap) {
  if (tap >= p.taps) return {0, 0, 0, 0, false};
  const int64_t inner = LAST ? p.s.group_IC() : p.s.KW, outer = LAST ? p.s.KW : p.s.KH;
  const int64_t above = tap / inner, s = tap - above * inner, q = above / outer;
  const int64_t r = above - q * outer;
  const int64_t c = LAST ? s : q, kh = LAST ? q : r, kw = LAST ? r : s;
  const int h = int(kh * p.s.dilation_h), v = int(kw * p.s.dilation_w);
  return {c * p.x.c + h * p.x.h + v * p.x.w, c * p.w.c + kh * p.w.h + kw * p.w.w, h, v, true};
}

template <class T, bool LAST>
__global__ void __launch_bounds__(GEMM_THREADS, GEMM_BLOCKS<SumOf<T>>)
    weight_product(Work p, const T* __restrict__ grad_y, const T* __restrict__ x,
                   SumOf<T>* __restrict__ partials) {
  FC_BLOCK(GEMM_THREADS);
  using Sum = SumOf<T>;
  FC_SHARED(Sum, a, [2][TILE_K][PADDED]);
  FC_SHARED(Sum, b, [2][TILE_K][PADDED]);
  const int thread = threadIdx.x;
  int64_t above = blockIdx.x / p.tiles_n;
  const int64_t tile_n = blockIdx.x - above * p.tiles_n, tile_m = above % p.tiles_m;
  above /= p.tiles_m;
  const int64_t split = above / p.s.groups, group = above - split * p.s.groups;
  const int64_t first_pixel = split * p.range, end = min64(first_pixel + p.range, p.pixels);
  const int64_t first_m = tile_m * TILE_M, first_n = tile_n * TILE_N, group_OC = p.s.group_OC();

  constexpr int TAPS = LAST ? 1 : LOADS;  // taps that a thread fetches of
  Tap taps[TAPS];
#pragma unroll
  for (int i = 0; i < TAPS; ++i)
    taps[i] = tap_of<LAST>(p, first_n + fetch_place<LAST>(thread, i).m);
  const T* of_y = grad_y + group * group_OC * p.y.c;
  const T* of_x = x + group * p.s.group_IC() * p.x.c;

  const auto fetch = [&](int64_t first_k, Sum(&of_a)[LOADS], Sum(&of_b)[LOADS]) {
    Pixel pixel = pixel_of(p, first_k + fetch_place<LAST>(thread, 0).k);
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      const Fetch at = fetch_place<LAST>(thread, i);
      if (LAST && i > 0) pixel = pixel_of(p, first_k + at.k);
      const Tap& tap = taps[LAST ? 0 : i];
      const bool exists = first_k + at.k < end;
      const int64_t oc = first_m + at.m;
      const int h = pixel.h + tap.h, w = pixel.w + tap.v;
      of_a[i] = exists && oc < group_OC ? widen(of_y[pixel.y + oc * p.y.c]) : Sum(0);
      const bool inside =
          exists && tap.exists && h >= 0 && h < int(p.s.IH) && w >= 0 && w < int(p.s.IW);
      of_b[i] = inside ? widen(of_x[pixel.x + tap.x]) : Sum(0);
    }
  };
  Sum sums[PER_THREAD][PER_THREAD] = {};
  const int m = thread / SIDE * PER_THREAD, n = thread % SIDE * PER_THREAD;
  if (first_pixel < end)  // the same for all threads
    multiply_tiles<LAST, LAST>(first_pixel, end, m, n, a, b, sums, fetch);

  partials += split * p.w_count + group * group_OC * p.w.n;
#pragma unroll
  for (int j = 0; j < PER_THREAD; ++j) {
    const Tap tap = tap_of<LAST>(p, first_n + n + j);
#pragma unroll
    for (int i = 0; i < PER_THREAD; ++i)
      if (tap.exists && first_m + m + i < group_OC)
        partials[(first_m + m + i) * p.w.n + tap.w] = sums[i][j];
  }
}

struct Plan {
  Work work;
  int64_t splits, blocks;
};
Plan plan_of(const Conv2dShape& s, const Tuning& tuning) {
  Plan plan{};
  Work& p = plan.work;
  p.s = s, p.x = s.x_strides(), p.y = s.y_strides(), p.w = s.w_strides();
  p.pixels = s.N * s.OH() * s.OW(), p.taps = s.terms(), p.w_count = s.w_count();
  p.tiles_m = ceil_div(s.group_OC(), TILE_M), p.tiles_n = ceil_div(p.taps, TILE_N);
  p.OW = Divider<uint64_t>(s.OW()), p.OH = Divider<uint64_t>(s.OH());
  const int64_t tiles = s.groups * p.tiles_m * p.tiles_n;
  plan.splits = tuning.splits > 0 ? min64(tuning.splits, MAX_SPLITS)
                                  : choose_splits(tiles, p.pixels, LEAST_PIXELS);
  p.range = round_up(max64(1, ceil_div(p.pixels, plan.splits)), TILE_K);
  plan.blocks = tiles * plan.splits;
  return plan;
}

}  // namespace

template <class T>
int64_t gemm_weight_workspace(const Conv2dShape& s, const Tuning& tuning) {
  return plan_of(s, tuning).splits * s.w_count() * int64_t(sizeof(SumOf<T>));
}

template <class T>
cudaError_t gemm_backward_weight(const Conv2dShape& s, const T* grad_y, const T* x, T* grad_w,
                                 void* workspace, const Tuning& tuning, cudaStream_t stream) {
  if (s.w_count() == 0) return cudaSuccess;
  const Plan plan = plan_of(s, tuning);
  auto* partials = static_cast<SumOf<T>*>(workspace);
  const char* name = "implicit product of gradients";
  const cudaError_t error = s.x_channels_last
                                ? launch(name, weight_product<T, true>, plan.blocks, GEMM_THREADS,
                                         stream, plan.work, grad_y, x, partials)
                                : launch(name, weight_product<T, false>, plan.blocks, GEMM_THREADS,
                                         stream, plan.work, grad_y, x, partials);
  if (error != cudaSuccess) return error;
  return launch_sum_partials(s.w_count(), plan.splits, partials, grad_w, stream);
}

#define INSTANTIATE(T)                                                                         \
  template int64_t gemm_weight_workspace<T>(const Conv2dShape&, const Tuning&);                \
  template cudaError_t gemm_backward_weight(const Conv2dShape&, const T*, const T*, T*, void*, \
                                            const Tuning&, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(Half)
INSTANTIATE(BFloat16)

}  // namespace fastconv::cuda
