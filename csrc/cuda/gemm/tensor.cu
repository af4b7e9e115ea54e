// Convolution forward as an implicit matrix product on tensor cores. Layer: cuda/gemm.
//
//   out[row, column] = sum over k of in[row, k] * weight[k, column]     (../common/gather.h)
//   M = N * RH * RW pixels, N = channels of a group, K = taps (jh, jw), 32 channels of one at a time
//
// A block of 4 warps owns 64 pixels x 64 channels, a warp 32 x 32 as 2 x 2 tiles of 16 x 16. Copies
// of the next step to shared memory run while one step is multiplied. Shared memory: in and weight
// twice, 20 KiB, and 17 KiB of sums, from which neighbouring threads store neighbouring channels.
#include "gemm.h"

#include "../common/tensor_cores.h"
#include "rows.cuh"

namespace fastconv::cuda {
namespace {

constexpr int THREADS = 128, TILE = 64, STEP = 32;
constexpr int V = 8;  // channels of a 16-byte copy
// Below sm_80 the kernel is empty and does not use these.
[[maybe_unused]] constexpr int WARP_TILE = 32;
[[maybe_unused]] constexpr int PITCH = STEP + V;  // 80 bytes: 8 rows of a fragment in 8 bank groups
[[maybe_unused]] constexpr int VECTORS = STEP / V;                 // of a row
[[maybe_unused]] constexpr int COPIES = TILE * VECTORS / THREADS;  // of an operand, by a thread
[[maybe_unused]] constexpr int SUMS_PITCH = TILE + 4;

template <class T>
__global__ void __launch_bounds__(THREADS)
    tensor_product(Gather g, int64_t tiles_n, const T* __restrict__ in,
                   const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ out) {
  FC_BLOCK(THREADS);
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  FC_SHARED(T, a, [2][TILE][PITCH]);
  FC_SHARED(T, b, [2][TILE][PITCH]);
  FC_SHARED(float, sums, [TILE][SUMS_PITCH]);
  const int thread = threadIdx.x, warp = thread / 32;
  const int64_t above = blockIdx.x / tiles_n, tile_n = blockIdx.x - above * tiles_n;
  const int64_t tile_m = above / g.groups, group = above - tile_m * g.groups;
  const int64_t first_row = tile_m * TILE, first_column = tile_n * TILE;
  const int c_of_thread = thread % VECTORS * V, line = thread / VECTORS;

  Row rows[COPIES];
#pragma unroll
  for (int i = 0; i < COPIES; ++i)
    rows[i] = row_of(g, first_row + line + i * (THREADS / VECTORS), group);
  const T* weights = weight + g.weight_first + group * g.weight_group;

  int jh = 0, jw = 0, c = c_of_thread;  // of the next copy
  const auto copy_step = [&](int stage) {
    const int h = jh * int(g.tap_step_h), w = jw * int(g.tap_step_w);
#pragma unroll
    for (int i = 0; i < COPIES; ++i) {
      const int to = line + i * (THREADS / VECTORS);
      const int ih = rows[i].h + h, iw = rows[i].w + w;
      const bool inside = c < g.C && ih >= 0 && ih < int(g.IH) && iw >= 0 && iw < int(g.IW);
      const T* from = in + rows[i].offset + h * g.in.h + w * g.in.w + c;
      copy_async(&a[stage][to][c_of_thread], inside ? from : in, inside);
      const int64_t column = first_column + to;
      const bool exists = c < g.C && column < g.columns;
      const T* of = weights + column * g.weight_column + jh * g.weight_h + jw * g.weight_w + c;
      copy_async(&b[stage][to][c_of_thread], exists ? of : weight, exists);
    }
    commit_copies();
    c += STEP;
    if (c - c_of_thread < g.C) return;
    c = c_of_thread;
    if (++jw == int(g.JW)) jw = 0, ++jh;
  };

  TileSums acc[2][2];
#pragma unroll
  for (int i = 0; i < 4; ++i) acc[i / 2][i % 2].clear();
  const int m = warp / 2 * WARP_TILE, n = warp % 2 * WARP_TILE;
  const int64_t steps = g.JH * g.JW * ceil_div(g.C, STEP);
  copy_step(0);
  for (int64_t step = 0; step < steps; ++step) {
    const int stage = int(step % 2);
    if (step + 1 < steps) {
      copy_step(1 - stage);
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncthreads();  // every thread's copies of this stage have arrived
#pragma unroll
    for (int k = 0; k < STEP; k += 16) {
      TileA<T> of_a[2];
      TileB<T> of_b[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        of_a[i].load(&a[stage][m + 16 * i][k], PITCH);
        of_b[i].load(&b[stage][n + 16 * i][k], PITCH);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 2; ++j) acc[i][j].add(of_a[i], of_b[j]);
    }
    __syncthreads();  // this stage is read, before the copies after the next go there
  }
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 2; ++j) acc[i][j].store(&sums[m + 16 * i][n + 16 * j], SUMS_PITCH);
  __syncthreads();  // all sums are stored

  const int column = thread % TILE;
  const int64_t channel = group * g.columns + first_column + column;
  if (first_column + column >= g.columns) return;
  for (int i = thread / TILE; i < TILE; i += THREADS / TILE) {
    const int64_t row = first_row + i;
    if (row >= g.rows()) return;
    const int64_t above_row = row / g.RW, image = above_row / g.RH;
    T* to = out + g.out_first + image * g.out.n + (above_row - image * g.RH) * g.out.h +
            (row - above_row * g.RW) * g.out.w;
    to[channel * g.out.c] = narrow<T>(sums[i][column] + (bias ? widen(bias[channel]) : 0.0f));
  }
#endif
}

constexpr bool multiple(int64_t offset) { return offset % V == 0; }

}  // namespace

template <class T>
bool tensor_cores_support(const Gather& g, const T* in, const T* weight) {
  const bool aligned =
      (reinterpret_cast<uintptr_t>(in) | reinterpret_cast<uintptr_t>(weight)) % 16 == 0;
  return sizeof(T) == 2 && aligned && g.C > 0 && g.in.c == 1 && g.weight_c == 1 && multiple(g.C) &&
         multiple(g.in.n) && multiple(g.in.h) && multiple(g.in.w) && multiple(g.weight_column) &&
         multiple(g.weight_h) && multiple(g.weight_w) && multiple(g.weight_first);
}

template <class T>
cudaError_t tensor_gather(const Gather& g, const T* in, const T* weight, const T* bias, T* out,
                          cudaStream_t stream) {
  if constexpr (sizeof(T) == 2) {
    if (g.rows() == 0 || g.channels() == 0) return cudaSuccess;
    const int64_t tiles_n = ceil_div(g.columns, TILE);
    const int64_t blocks = ceil_div(g.rows(), TILE) * g.groups * tiles_n;
    return launch("tensor core product", tensor_product<T>, blocks, THREADS, stream, g, tiles_n, in,
                  weight, bias, out);
  }
  return cudaErrorInvalidValue;  // tensor_cores_support has said no
}

#define INSTANTIATE(T)                                                   \
  template bool tensor_cores_support(const Gather&, const T*, const T*); \
  template cudaError_t tensor_gather(const Gather&, const T*, const T*, const T*, T*, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(Half)
INSTANTIATE(BFloat16)

}  // namespace fastconv::cuda
