// Convolution backward_weight as an implicit matrix product, its sum split. Layer: cuda/gemm.
//
//   grad_w[oc, (c,kh,kw)] = sum over pixels (n,oh,ow) of grad_y[pixel, oc] * x[pixel, (c,kh,kw)]
//   M = channels of a group, N = its taps, K = N * OH * OW pixels
//
// K is large and the results are few, so a block owns 64 channels x 64 taps of one range of pixels
// (tile.cuh), and sum_partials adds the ranges in order. NCHW: neighbouring threads fetch
// neighbouring pixels. NHWC: neighbouring channels.
#include "gemm.h"

#include "../common/partials.cuh"
#include "pixels.cuh"
#include "tile.cuh"

namespace fastconv::cuda {
namespace {

constexpr int64_t LEAST_PIXELS = 16 * TILE_K;  // of a range: below, the second stage costs more

struct Work {
  Conv2dShape s;
  Pixels at;
  Strides w;
  int64_t pixels, range, taps, w_count;
  int64_t tiles_m, tiles_n;  // of a group
};

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
  return {c * p.at.x.c + h * p.at.x.h + v * p.at.x.w, c * p.w.c + kh * p.w.h + kw * p.w.w, h, v,
          true};
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
  const T* of_y = grad_y + group * group_OC * p.at.y.c;
  const T* of_x = x + group * p.s.group_IC() * p.at.x.c;

  const auto fetch = [&](int64_t first_k, Sum(&of_a)[LOADS], Sum(&of_b)[LOADS]) {
    Pixel pixel = p.at(first_k + fetch_place<LAST>(thread, 0).k);
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      const Fetch at = fetch_place<LAST>(thread, i);
      if (LAST && i > 0) pixel = p.at(first_k + at.k);
      const Tap& tap = taps[LAST ? 0 : i];
      const bool exists = first_k + at.k < end;
      const int64_t oc = first_m + at.m;
      const int h = pixel.h + tap.h, w = pixel.w + tap.v;
      of_a[i] = exists && oc < group_OC ? widen(of_y[pixel.y + oc * p.at.y.c]) : Sum(0);
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
  Plan plan{{s, Pixels(s), s.w_strides(), 0, 0, 0, 0, 0, 0}, 0, 0};
  Work& p = plan.work;
  p.pixels = s.N * s.OH() * s.OW(), p.taps = s.terms(), p.w_count = s.w_count();
  p.tiles_m = ceil_div(s.group_OC(), TILE_M), p.tiles_n = ceil_div(p.taps, TILE_N);
  const int64_t tiles = s.groups * p.tiles_m * p.tiles_n;
  plan.splits = tuning.splits > 0 ? min64(tuning.splits, MAX_SPLITS)
                                  : choose_splits(tiles, p.pixels, LEAST_PIXELS);
  p.range = round_up(max64(1, ceil_div(p.pixels, plan.splits)), TILE_K);
  plan.blocks = tiles * plan.splits;
  return plan;
}

}  // namespace

template <class T>
bool on_tensor_cores(const Conv2dShape& s, const T* grad_y, const T* x, const Tuning& tuning) {
  const auto addresses = reinterpret_cast<uintptr_t>(grad_y) | reinterpret_cast<uintptr_t>(x);
  return addresses % 16 == 0 && tensor_weight_supports<T>(s, tuning);
}

template <class T>
int64_t gemm_weight_workspace(const Conv2dShape& s, const Tuning& tuning) {
  const int64_t bytes = plan_of(s, tuning).splits * s.w_count() * int64_t(sizeof(SumOf<T>));
  if (!tensor_weight_supports<T>(s, tuning)) return bytes;
  return max64(bytes,
               tensor_weight_workspace<T>(s, tuning));  // addresses decide, which it knows not
}

template <class T>
cudaError_t gemm_backward_weight(const Conv2dShape& s, const T* grad_y, const T* x, T* grad_w,
                                 void* workspace, const Tuning& tuning, cudaStream_t stream) {
  if (s.w_count() == 0) return cudaSuccess;
  if (on_tensor_cores(s, grad_y, x, tuning))
    return tensor_backward_weight(s, grad_y, x, grad_w, workspace, tuning, stream);
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
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
