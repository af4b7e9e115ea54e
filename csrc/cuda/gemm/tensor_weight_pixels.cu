// Convolution backward_weight on tensor cores, pixels being neighbours, its sum split. Layer: cuda/gemm.
//
//   grad_w[oc, (c,kh,kw)] = sum over pixels (n,oh,ow) of grad_y[pixel, oc] * x[pixel, (c,kh,kw)]
//   M = channels of a group, N = its taps, K = N * OH * OW pixels, 64 bytes at a time
//
// grad_y in NCHW. A block owns 64 channels x 64 taps of one range of pixels (tensor_tile.cuh). A thread
// fetches one pixel of every fourth (float: eighth) channel and tap, so neighbouring threads fetch
// neighbouring pixels. The taps are decoded once, into a table. sum_partials adds the ranges, in order.
#include "gemm.h"

#include "../common/partials.cuh"
#include "../common/pixels.cuh"
#include "tensor_tile.cuh"

namespace fastconv::cuda {
namespace {

constexpr int64_t LEAST_STEPS = 16;  // of a block: below, the second stage costs more

template <class T>
__global__ void __launch_bounds__(TENSOR_THREADS, FETCHING_BLOCKS)
    tensor_weight_pixels(WeightProduct p, const T* __restrict__ grad_y, const T* __restrict__ x,
                         float* __restrict__ partials) {
  FC_BLOCK(TENSOR_THREADS);
  if constexpr (tensor_cores_have<T>()) {
    using O = Operand<T, true>;
    FC_SHARED(T, a, [2][O::ROWS][O::PITCH]);
    FC_SHARED(T, b, [2][O::ROWS][O::PITCH]);
    FC_SHARED(Place, taps, [TENSOR_TILE]);
    FC_SHARED(float, sums, [TENSOR_TILE][SUMS_PITCH]);
    constexpr int LOADS = TENSOR_TILE * STEP<T> / TENSOR_THREADS;
    constexpr int APART = TENSOR_THREADS / STEP<T>;  // of a thread's channels, and of its taps
    const int thread = threadIdx.x;
    const WeightTile tile = weight_tile(p, blockIdx.x);
    const int64_t first_pixel = tile.first_pixel, end = tile.end, group = tile.group;
    const int64_t first_m = tile.tile_m * TENSOR_TILE, first_n = tile.tile_n * TENSOR_TILE;
    const int64_t M = p.s.group_OC();
    if (thread < TENSOR_TILE) {
      const WeightTap tap = weight_tap<false>(p, first_n + thread);
      const Place place{tap.x, tap.h, tap.v};
      copy_vector(&taps[thread], &place);
    }
    __syncthreads();  // the table is written

    const int own_pixel = thread % STEP<T>, first = thread / STEP<T>;
    const T* of_y = grad_y + (group * M + first_m) * p.at.y.c;
    const T* of_x = x + group * p.s.group_IC() * p.at.x.c;
    T of_a[LOADS], of_b[LOADS];
    const auto fetch = [&](int64_t step) {
      const int64_t number = first_pixel + step * STEP<T> + own_pixel;
      const bool exists = number < end;
      const Pixel pixel = p.at(exists ? number : first_pixel);
      const int h = exists ? pixel.h : NOWHERE;
#pragma unroll
      for (int i = 0; i < LOADS; ++i) {
        const int m = first + i * APART;
        const bool is_channel = exists && first_m + m < M;
        of_a[i] = is_channel ? of_y[pixel.y + m * p.at.y.c] : T{};
        const Place tap = load_place(&taps[m]);
        const bool inside = is_inside(h + tap.h, pixel.w + tap.w, int(p.s.IH), int(p.s.IW));
        of_b[i] = inside ? of_x[pixel.x + tap.offset] : T{};
      }
    };
    const auto store = [&](int stage) {
#pragma unroll
      for (int i = 0; i < LOADS; ++i) {
        a[stage][first + i * APART][own_pixel] = of_a[i];
        b[stage][first + i * APART][own_pixel] = of_b[i];
      }
    };
    const int64_t steps = first_pixel < end ? ceil_div(end - first_pixel, STEP<T>) : 0;
    multiply_fetched<T, true, true, false>(steps, &a[0][0][0], &b[0][0][0], O::ROWS * O::PITCH,
                                           O::ROWS * O::PITCH, &sums[0][0], fetch, store);
    const WeightTap tap = weight_tap<false>(p, first_n + thread % TENSOR_TILE);
    if (!tap.exists) return;
    partials += tile.split * p.w_count + (group * M + first_m) * p.w.n + tap.w;
    for (int i = thread / TENSOR_TILE; i < TENSOR_TILE; i += TENSOR_THREADS / TENSOR_TILE) {
      if (first_m + i >= M) return;
      partials[i * p.w.n] = sums[i][thread % TENSOR_TILE];
    }
  }
}

template <class T>
WeightPlan plan_of(const Conv2dShape& s, const Tuning& tuning) {
  return plan_weight(s, tuning, TENSOR_TILE, TENSOR_TILE, STEP<T>, LEAST_STEPS);
}

}  // namespace

template <class T>
int64_t tensor_weight_pixels_workspace(const Conv2dShape& s, const Tuning& tuning) {
  return partials_bytes<T>(plan_of<T>(s, tuning));
}

template <class T>
cudaError_t tensor_backward_weight_pixels(const Conv2dShape& s, const T* grad_y, const T* x,
                                          T* grad_w, void* workspace, const Tuning& tuning,
                                          cudaStream_t stream) {
  if constexpr (sizeof(T) <= 4) {
    const WeightPlan plan = plan_of<T>(s, tuning);
    auto* partials = static_cast<float*>(workspace);
    const cudaError_t error =
        launch("tensor core gradients of pixels", tensor_weight_pixels<T>, plan.blocks,
               TENSOR_THREADS, stream, plan.work, grad_y, x, partials);
    if (error != cudaSuccess) return error;
    return launch_sum_partials(s.w_count(), plan.splits, partials, grad_w, stream);
  }
  return cudaErrorInvalidValue;  // tensor_weight_pixels_supports has said no
}

#define INSTANTIATE(T)                                                                           \
  template int64_t tensor_weight_pixels_workspace<T>(const Conv2dShape&, const Tuning&);         \
  template cudaError_t tensor_backward_weight_pixels(const Conv2dShape&, const T*, const T*, T*, \
                                                     void*, const Tuning&, cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
