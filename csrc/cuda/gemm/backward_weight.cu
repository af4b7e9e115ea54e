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
#include "../common/pixels.cuh"
#include "tile.cuh"

namespace fastconv::cuda {
namespace {

constexpr int64_t LEAST_STEPS = 16;  // of a block: below, the second stage costs more

template <class T, bool LAST>
__global__ void __launch_bounds__(GEMM_THREADS, GEMM_BLOCKS<SumOf<T>>)
    weight_product(WeightProduct p, const T* __restrict__ grad_y, const T* __restrict__ x,
                   SumOf<T>* __restrict__ partials) {
  FC_BLOCK(GEMM_THREADS);
  using Sum = SumOf<T>;
  FC_SHARED(Sum, a, [2][TILE_K][PADDED]);
  FC_SHARED(Sum, b, [2][TILE_K][PADDED]);
  const int thread = threadIdx.x;
  const WeightTile tile = weight_tile(p, blockIdx.x);
  const int64_t first_pixel = tile.first_pixel, end = tile.end, group = tile.group;
  const int64_t first_m = tile.tile_m * TILE_M, first_n = tile.tile_n * TILE_N,
                group_OC = p.s.group_OC();

  constexpr int TAPS = LAST ? 1 : LOADS;  // taps that a thread fetches of
  WeightTap taps[TAPS];
#pragma unroll
  for (int i = 0; i < TAPS; ++i)
    taps[i] = weight_tap<LAST>(p, first_n + fetch_place<LAST>(thread, i).m);
  const T* of_y = grad_y + group * group_OC * p.at.y.c;
  const T* of_x = x + group * p.s.group_IC() * p.at.x.c;

  const auto fetch = [&](int64_t first_k, Sum(&of_a)[LOADS], Sum(&of_b)[LOADS]) {
    Pixel pixel = p.at(first_k + fetch_place<LAST>(thread, 0).k);
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      const Fetch at = fetch_place<LAST>(thread, i);
      if (LAST && i > 0) pixel = p.at(first_k + at.k);
      const WeightTap& tap = taps[LAST ? 0 : i];
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

  partials += tile.split * p.w_count + group * group_OC * p.w.n;
#pragma unroll
  for (int j = 0; j < PER_THREAD; ++j) {
    const WeightTap tap = weight_tap<LAST>(p, first_n + n + j);
#pragma unroll
    for (int i = 0; i < PER_THREAD; ++i)
      if (tap.exists && first_m + m + i < group_OC)
        partials[(first_m + m + i) * p.w.n + tap.w] = sums[i][j];
  }
}

WeightPlan plan_of(const Conv2dShape& s, const Tuning& tuning) {
  return plan_weight(s, tuning, TILE_M, TILE_N, TILE_K, LEAST_STEPS);
}

}  // namespace

// The addresses of 16-byte copies decide as well, which a query of the workspace does not know.
template <class T>
int64_t gemm_weight_workspace(const Conv2dShape& s, const Tuning& tuning) {
  int64_t bytes = partials_bytes<T>(plan_of(s, tuning));
  if (tensor_weight_supports<T>(s, tuning))
    bytes = max64(bytes, tensor_weight_workspace<T>(s, tuning));
  if (tensor_weight_pixels_supports<T>(s, tuning))
    bytes = max64(bytes, tensor_weight_pixels_workspace<T>(s, tuning));
  return bytes;
}

template <class T>
cudaError_t gemm_backward_weight(const Conv2dShape& s, const T* grad_y, const T* x, T* grad_w,
                                 void* workspace, const Tuning& tuning, cudaStream_t stream) {
  if (s.w_count() == 0) return cudaSuccess;
  if (are_aligned(grad_y, x) && tensor_weight_supports<T>(s, tuning))
    return tensor_backward_weight(s, grad_y, x, grad_w, workspace, tuning, stream);
  if (tensor_weight_pixels_supports<T>(s, tuning))
    return tensor_backward_weight_pixels(s, grad_y, x, grad_w, workspace, tuning, stream);
  const WeightPlan plan = plan_of(s, tuning);
  auto* partials = static_cast<SumOf<T>*>(workspace);
  const auto run = [&](auto kernel) {
    return launch("implicit product of gradients", kernel, plan.blocks, GEMM_THREADS, stream,
                  plan.work, grad_y, x, partials);
  };
  const cudaError_t error =
      s.x_channels_last ? run(weight_product<T, true>) : run(weight_product<T, false>);
  if (error != cudaSuccess) return error;
  return launch_sum_partials(s.w_count(), plan.splits, partials, grad_w, stream);
}

#define INSTANTIATE(T)                                                                         \
  template int64_t gemm_weight_workspace<T>(const Conv2dShape&, const Tuning&);                \
  template cudaError_t gemm_backward_weight(const Conv2dShape&, const T*, const T*, T*, void*, \
                                            const Tuning&, cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
