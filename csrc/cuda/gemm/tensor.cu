// Convolution forward and backward_input as matrix products on tensor cores. Layer: cuda/gemm.
//
//   out[row, column] = sum over k of in[row, k] * weight[k, column]     (../common/gather.h)
//   M = N * RH * RW pixels, N = channels of a group, K = taps (jh, jw), 64 bytes of channels at a time
//
// float16, bfloat16, and float rounded to TF32. tensor_tile.cuh says what a block owns. In forward
// neighbours in memory are a filter's channels of x, which are summed over; in backward_input they
// are the columns.
#include "gemm.h"

#include "../common/rows.cuh"
#include "tensor_tile.cuh"

namespace fastconv::cuda {
namespace {

template <class T, bool weight_k>
__global__ void __launch_bounds__(TENSOR_THREADS, TENSOR_BLOCKS)
    tensor_product(Gather g, int64_t tiles_n, const T* __restrict__ in,
                   const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ out) {
  FC_BLOCK(TENSOR_THREADS);
  if constexpr (tensor_cores_have<T>()) {
    using A = Operand<T, true>;
    using B = Operand<T, weight_k>;
    FC_SHARED(T, a, [2][A::ROWS][A::PITCH]);
    FC_SHARED(T, b, [2][B::ROWS][B::PITCH]);
    FC_SHARED(float, sums, [TENSOR_TILE][SUMS_PITCH]);
    const int thread = threadIdx.x;
    const int64_t above = blockIdx.x / tiles_n, tile_n = blockIdx.x - above * tiles_n;
    const int64_t tile_m = above / g.groups, group = above - tile_m * g.groups;
    const int64_t first_row = tile_m * TENSOR_TILE, first_column = tile_n * TENSOR_TILE;

    Row rows[A::COPIES];
#pragma unroll
    for (int i = 0; i < A::COPIES; ++i) rows[i] = row_of(g, first_row + A::row(thread, i), group);
    const T* weights = weight + g.weight_first + group * g.weight_group;

    int jh = 0, jw = 0, c = 0;  // of the next copy
    const auto copy_step = [&](int64_t, int stage) {
      const int h = jh * int(g.tap_step_h), w = jw * int(g.tap_step_w);
#pragma unroll
      for (int i = 0; i < A::COPIES; ++i) {
        const int ih = rows[i].h + h, iw = rows[i].w + w, channel = c + A::element(thread);
        const bool inside = channel < g.C && ih >= 0 && ih < int(g.IH) && iw >= 0 && iw < int(g.IW);
        const T* from = in + rows[i].offset + h * g.in.h + w * g.in.w + channel;
        copy_async(&a[stage][A::row(thread, i)][A::element(thread)], inside ? from : in, inside);
      }
      const T* taps = weights + jh * g.weight_h + jw * g.weight_w;
#pragma unroll
      for (int i = 0; i < B::COPIES; ++i) {
        const int row = B::row(thread, i), element = B::element(thread);
        const int channel = c + (weight_k ? element : row);
        const int64_t column = first_column + (weight_k ? row : element);
        const bool exists = channel < g.C && column < g.columns;
        const T* from = taps + channel * g.weight_c + column * g.weight_column;
        copy_async(&b[stage][row][element], exists ? from : weight, exists);
      }
      commit_copies();
      c += STEP<T>;
      if (c < g.C) return;
      c = 0;
      if (++jw == int(g.JW)) jw = 0, ++jh;
    };
    multiply_steps<T, true, weight_k>(g.JH * g.JW * ceil_div(g.C, STEP<T>), &a[0][0][0],
                                      &b[0][0][0], A::ROWS * A::PITCH, B::ROWS * B::PITCH,
                                      &sums[0][0], copy_step);
    const int column = thread % TENSOR_TILE;
    const int64_t channel = group * g.columns + first_column + column;
    if (first_column + column >= g.columns) return;
    for (int i = thread / TENSOR_TILE; i < TENSOR_TILE; i += TENSOR_THREADS / TENSOR_TILE) {
      const int64_t row = first_row + i;
      if (row >= g.rows()) return;
      T* to = out + out_offset(g, row);
      to[channel * g.out.c] = narrow<T>(sums[i][column] + (bias ? widen(bias[channel]) : 0.0f));
    }
  }
}

// Whether a stride over an axis of this extent keeps 16-byte vectors aligned.
template <class T>
constexpr bool keeps(int64_t extent, int64_t stride) {
  return extent == 1 || stride % COPY<T> == 0;
}

}  // namespace

template <class T>
bool tensor_cores_support(const Gather& g, const T* in, const T* weight, const Tuning& tuning) {
  if (!may_use_tensor_cores<T>(tuning)) return false;
  const bool of_in = g.C > 0 && g.in.c == 1 && g.C % COPY<T> == 0 && keeps<T>(g.N, g.in.n) &&
                     keeps<T>(g.IH, g.in.h) && keeps<T>(g.IW, g.in.w);
  const bool of_taps = keeps<T>(g.JH, g.weight_h) && keeps<T>(g.JW, g.weight_w) &&
                       g.weight_first % COPY<T> == 0 && keeps<T>(g.groups, g.weight_group);
  const bool by_k = g.weight_c == 1 && keeps<T>(g.columns, g.weight_column);
  const bool by_columns =
      g.weight_column == 1 && g.columns % COPY<T> == 0 && keeps<T>(g.C, g.weight_c);
  return are_aligned(in, weight) && of_in && of_taps && (by_k || by_columns);
}

template <class T>
cudaError_t tensor_gather(const Gather& g, const T* in, const T* weight, const T* bias, T* out,
                          cudaStream_t stream) {
  if constexpr (sizeof(T) <= 4) {
    if (g.rows() == 0 || g.channels() == 0) return cudaSuccess;
    const int64_t tiles_n = ceil_div(g.columns, TENSOR_TILE);
    const int64_t blocks = ceil_div(g.rows(), TENSOR_TILE) * g.groups * tiles_n;
    const auto run = [&](auto kernel) {
      return launch("tensor core product", kernel, blocks, TENSOR_THREADS, stream, g, tiles_n, in,
                    weight, bias, out);
    };
    const bool by_k = g.weight_c == 1 && keeps<T>(g.columns, g.weight_column);
    return by_k ? run(tensor_product<T, true>) : run(tensor_product<T, false>);
  }
  return cudaErrorInvalidValue;  // tensor_cores_support has said no
}

#define INSTANTIATE(T)                                                                  \
  template bool tensor_cores_support(const Gather&, const T*, const T*, const Tuning&); \
  template cudaError_t tensor_gather(const Gather&, const T*, const T*, const T*, T*, cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
