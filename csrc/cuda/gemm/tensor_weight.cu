// Convolution backward_weight on tensor cores, its sum split. Layer: cuda/gemm.
//
//   grad_w[oc, (kh,kw), ic] = sum over pixels (n,oh,ow) of grad_y[pixel, oc] * x[pixel, (kh,kw), ic]
//   M = output channels of a group, N = its input channels, K = N * OH * OW pixels
//
// A block owns 64 x 64 channels of one tap and one range of pixels (tensor_tile.cuh). Neighbours in
// memory are channels, of both operands. sum_partials adds the ranges, in order.
#include "gemm.h"

#include "../common/partials.cuh"
#include "../common/pixels.cuh"
#include "tensor_tile.cuh"

namespace fastconv::cuda {
namespace {

constexpr int64_t LEAST_STEPS = 16;  // of a range: below, the second stage costs more

struct Work {
  Pixels at;
  Strides w;
  int64_t pixels, range, w_count;
  int64_t IH, IW, KH, KW, dilation_h, dilation_w;
  int64_t groups, M, N;      // channels of a group
  int64_t tiles_m, tiles_n;  // of a group and tap
};

template <class T>
__global__ void __launch_bounds__(TENSOR_THREADS, TENSOR_BLOCKS)
    tensor_weight(Work p, const T* __restrict__ grad_y, const T* __restrict__ x,
                  float* __restrict__ partials) {
  FC_BLOCK(TENSOR_THREADS);
  if constexpr (tensor_cores_have<T>()) {
    using O = Operand<T, false>;
    FC_SHARED(T, a, [2][O::ROWS][O::PITCH]);
    FC_SHARED(T, b, [2][O::ROWS][O::PITCH]);
    FC_SHARED(float, sums, [TENSOR_TILE][SUMS_PITCH]);
    const int thread = threadIdx.x;
    // blockIdx.x = (((split * groups + group) * KH + kh) * KW + kw) * tiles_m + ...) * tiles_n + ...
    int64_t above = blockIdx.x / p.tiles_n;
    const int64_t first_n = (blockIdx.x - above * p.tiles_n) * TENSOR_TILE;
    const int64_t first_m = above % p.tiles_m * TENSOR_TILE;
    above /= p.tiles_m;
    const int64_t kw = above % p.KW, kh = above / p.KW % p.KH;
    above /= p.KW * p.KH;
    const int64_t split = above / p.groups, group = above - split * p.groups;
    const int64_t first_pixel = split * p.range, end = min64(first_pixel + p.range, p.pixels);
    const int h = int(kh * p.dilation_h), w = int(kw * p.dilation_w);
    const int64_t oc = first_m + O::element(thread), ic = first_n + O::element(thread);
    const T* of_y = grad_y + group * p.M + oc;
    const T* of_x = x + group * p.N + ic + h * p.at.x.h + w * p.at.x.w;

    const auto copy_step = [&](int64_t step, int stage) {
#pragma unroll
      for (int i = 0; i < O::COPIES; ++i) {
        const int row = O::row(thread, i);
        const int64_t number = first_pixel + step * STEP<T> + row;
        const Pixel pixel = p.at(number);
        const int ih = pixel.h + h, iw = pixel.w + w;
        const bool exists = number < end && oc < p.M;
        copy_async(&a[stage][row][O::element(thread)], exists ? of_y + pixel.y : grad_y, exists);
        const bool inside =
            number < end && ic < p.N && ih >= 0 && ih < int(p.IH) && iw >= 0 && iw < int(p.IW);
        copy_async(&b[stage][row][O::element(thread)], inside ? of_x + pixel.x : x, inside);
      }
      commit_copies();
    };
    const int64_t steps = first_pixel < end ? ceil_div(end - first_pixel, STEP<T>) : 0;
    multiply_steps<T, false, false>(steps, &a[0][0][0], &b[0][0][0], O::ROWS * O::PITCH,
                                    O::ROWS * O::PITCH, &sums[0][0], copy_step);
    const int column = thread % TENSOR_TILE;
    if (first_n + column >= p.N) return;
    partials += split * p.w_count + kh * p.w.h + kw * p.w.w + (first_n + column) * p.w.c;
    for (int i = thread / TENSOR_TILE; i < TENSOR_TILE; i += TENSOR_THREADS / TENSOR_TILE) {
      if (first_m + i >= p.M) return;
      partials[(group * p.M + first_m + i) * p.w.n] = sums[i][column];
    }
  }
}

struct Plan {
  Work work;
  int64_t splits, blocks;
};
template <class T>
Plan plan_of(const Conv2dShape& s, const Tuning& tuning) {
  const int64_t M = s.group_OC(), N = s.group_IC();
  Plan plan{{Pixels(s), s.w_strides(), s.N * s.OH() * s.OW(), 0, s.w_count(), s.IH, s.IW, s.KH,
             s.KW, s.dilation_h, s.dilation_w, s.groups, M, N, ceil_div(M, TENSOR_TILE),
             ceil_div(N, TENSOR_TILE)},
            0,
            0};
  Work& p = plan.work;
  const int64_t tiles = s.groups * s.KH * s.KW * p.tiles_m * p.tiles_n;
  plan.splits = tuning.splits > 0 ? min64(tuning.splits, MAX_SPLITS)
                                  : choose_splits(tiles, p.pixels, LEAST_STEPS * STEP<T>);
  p.range = round_up(max64(1, ceil_div(p.pixels, plan.splits)), STEP<T>);
  plan.blocks = tiles * plan.splits;
  return plan;
}

}  // namespace

template <class T>
bool tensor_weight_supports(const Conv2dShape& s, const Tuning& tuning) {
  return may_use_tensor_cores<T>(tuning) && s.x_strides().c == 1 && s.y_strides().c == 1 &&
         s.w_count() > 0 && s.group_OC() % COPY<T> == 0 && s.group_IC() % COPY<T> == 0;
}

template <class T>
int64_t tensor_weight_workspace(const Conv2dShape& s, const Tuning& tuning) {
  return plan_of<T>(s, tuning).splits * s.w_count() * int64_t(sizeof(float));
}

template <class T>
cudaError_t tensor_backward_weight(const Conv2dShape& s, const T* grad_y, const T* x, T* grad_w,
                                   void* workspace, const Tuning& tuning, cudaStream_t stream) {
  if constexpr (sizeof(T) <= 4) {
    const Plan plan = plan_of<T>(s, tuning);
    auto* partials = static_cast<float*>(workspace);
    const cudaError_t error = launch("tensor core gradients", tensor_weight<T>, plan.blocks,
                                     TENSOR_THREADS, stream, plan.work, grad_y, x, partials);
    if (error != cudaSuccess) return error;
    return launch_sum_partials(s.w_count(), plan.splits, partials, grad_w, stream);
  }
  return cudaErrorInvalidValue;  // tensor_weight_supports has said no
}

#define INSTANTIATE(T)                                                                           \
  template bool tensor_weight_supports<T>(const Conv2dShape&, const Tuning&);                    \
  template int64_t tensor_weight_workspace<T>(const Conv2dShape&, const Tuning&);                \
  template cudaError_t tensor_backward_weight(const Conv2dShape&, const T*, const T*, T*, void*, \
                                              const Tuning&, cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
