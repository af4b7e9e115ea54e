// backward_weight of a convolution with few input channels, its sum split. Layer: cuda/direct.
//
//   grad_w[oc, (ic,kh,kw)] = sum over pixels (n,oh,ow) of grad_y[pixel, oc] * x[pixel, (ic,kh,kw)]
//
// Such filters have few taps, 27 for 3x3 of RGB, so a block owns 32 channels x 32 taps of one range of
// pixels. Of each 64 pixels, which are in shared memory, a warp sums 8, a thread 4 channels x 8 taps;
// at the end the warps add their sums, in order, and sum_partials adds the ranges. A thread fetches
// 8 channels and 8 taps of one pixel: neighbouring threads are neighbouring pixels (grad_y in NCHW) or
// channels (channels_last). Shared memory: 23 KiB (double: 45 KiB).
#include "direct.h"

#include "../common/partials.cuh"
#include "../common/pixels.cuh"

namespace fastconv::cuda {
namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32;
constexpr int TILE = 32, STEP = 64;  // channels and taps of a block; pixels in shared memory
constexpr int PARTS = THREADS / STEP, EACH = TILE / PARTS;  // fetched by a thread
constexpr int OWN_M = 4, OWN_N = 8;                         // sums of a thread
constexpr int PITCH = TILE + 4;  // puts the vectors of 8 neighbouring pixels into different banks
constexpr int64_t LEAST_STEPS = 16;  // of a block: below, the second stage costs more
// At least, of a multiprocessor: 128 registers for a thread.
template <class Sum>
constexpr int BLOCKS = sizeof(Sum) == 8 ? 1 : 2;
static_assert(TILE / OWN_M * (TILE / OWN_N) == 32, "a warp owns the tile");

template <class T, bool LAST>
__global__ void __launch_bounds__(THREADS, BLOCKS<SumOf<T>>)
    first_layer_weight(WeightProduct p, const T* __restrict__ grad_y, const T* __restrict__ x,
                       SumOf<T>* __restrict__ partials) {
  FC_BLOCK(THREADS);
  using Sum = SumOf<T>;
  FC_SHARED(Sum, of_y, [STEP][PITCH]);
  FC_SHARED(Sum, of_x, [STEP][PITCH]);
  FC_SHARED(Place, taps, [TILE]);
  FC_SHARED(Sum, all, [TILE][TILE]);
  const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
  const WeightTile tile = weight_tile(p, blockIdx.x);
  const int64_t first_m = tile.tile_m * TILE, first_n = tile.tile_n * TILE, end = tile.end;
  if (thread < TILE) {
    const WeightTap tap = weight_tap<false>(p, first_n + thread);
    const Place place{tap.x, tap.h, tap.v};
    copy_vector(&taps[thread], &place);
  }
  __syncthreads();  // the places of the taps are written

  const int own = LAST ? thread / PARTS : thread % STEP;  // the pixel of a step that it fetches
  const int first = (LAST ? thread % PARTS : thread / STEP) * EACH;  // its channels, and its taps
  Sum fetched_y[EACH], fetched_x[EACH];
  const auto fetch = [&](int64_t step) {
    const bool exists = step + own < end;
    const Pixel pixel = p.at(exists ? step + own : tile.first_pixel);
    const int h = exists ? pixel.h : NOWHERE;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
      const int64_t oc = first_m + first + i;
      const bool is_channel = exists && oc < p.s.OC;
      fetched_y[i] = is_channel ? widen(grad_y[pixel.y + oc * p.at.y.c]) : Sum(0);
      const Place tap = load_place(&taps[first + i]);
      const bool inside = is_inside(h + tap.h, pixel.w + tap.w, int(p.s.IH), int(p.s.IW));
      fetched_x[i] = inside ? widen(x[pixel.x + tap.offset]) : Sum(0);
    }
  };

  const int m = lane / (TILE / OWN_N) * OWN_M, n = lane % (TILE / OWN_N) * OWN_N;
  Sum sums[OWN_M][OWN_N] = {};
  if (tile.first_pixel < end) fetch(tile.first_pixel);
  for (int64_t step = tile.first_pixel; step < end; step += STEP) {
    store_vectors(fetched_y, &of_y[own][first]);
    store_vectors(fetched_x, &of_x[own][first]);
    __syncthreads();  // the step is written
    if (step + STEP < end) fetch(step + STEP);
#pragma unroll 2  // for sm_120 ptxas would unroll it all, and spill
    for (int pixel = warp * (STEP / WARPS); pixel < (warp + 1) * (STEP / WARPS); ++pixel) {
      Sum y[OWN_M], taps_of_x[OWN_N];
      load_vectors(&of_y[pixel][m], y);
      load_vectors(&of_x[pixel][n], taps_of_x);
#pragma unroll
      for (int i = 0; i < OWN_M; ++i)
#pragma unroll
        for (int j = 0; j < OWN_N; ++j) sums[i][j] += y[i] * taps_of_x[j];
    }
    __syncthreads();  // the step is read, before the next is written
  }
  for (int w = 0; w < WARPS; ++w) {
    if (warp == w) {
#pragma unroll
      for (int i = 0; i < OWN_M; ++i)
#pragma unroll
        for (int j = 0; j < OWN_N; ++j)
          all[m + i][n + j] = (w > 0 ? all[m + i][n + j] : Sum(0)) + sums[i][j];
    }
    __syncthreads();  // the sums of this warp are added
  }
  const WeightTap tap = weight_tap<false>(p, first_n + lane);
  if (!tap.exists) return;
  partials += tile.split * p.w_count + first_m * p.w.n + tap.w;
  for (int i = warp; i < TILE && first_m + i < p.s.OC; i += WARPS)
    partials[i * p.w.n] = all[i][lane];
}

WeightPlan plan_of(const Conv2dShape& s, const Tuning& tuning) {
  return plan_weight(s, tuning, TILE, TILE, STEP, LEAST_STEPS);
}

}  // namespace

template <class T>
int64_t direct_weight_workspace(const Conv2dShape& s, const Tuning& tuning) {
  return partials_bytes<T>(plan_of(s, tuning));
}

template <class T>
cudaError_t direct_backward_weight(const Conv2dShape& s, const T* grad_y, const T* x, T* grad_w,
                                   void* workspace, const Tuning& tuning, cudaStream_t stream) {
  if (s.w_count() == 0) return cudaSuccess;
  const WeightPlan plan = plan_of(s, tuning);
  auto* partials = static_cast<SumOf<T>*>(workspace);
  const auto run = [&](auto kernel) {
    return launch("gradients of a first layer", kernel, plan.blocks, THREADS, stream, plan.work,
                  grad_y, x, partials);
  };
  const cudaError_t error =
      s.y_channels_last ? run(first_layer_weight<T, true>) : run(first_layer_weight<T, false>);
  if (error != cudaSuccess) return error;
  return launch_sum_partials(s.w_count(), plan.splits, partials, grad_w, stream);
}

#define INSTANTIATE(T)                                                                           \
  template int64_t direct_weight_workspace<T>(const Conv2dShape&, const Tuning&);                \
  template cudaError_t direct_backward_weight(const Conv2dShape&, const T*, const T*, T*, void*, \
                                              const Tuning&, cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
