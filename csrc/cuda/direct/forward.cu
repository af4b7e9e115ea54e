// Forward of a convolution with few input channels. Layer: cuda/direct.
//
//   y[n,oc,oh,ow] = bias[oc] + sum over taps (ic,kh,kw) of w[oc,tap] * x[n,ic,ih,iw]
//
// A block owns 256 pixels x 64 channels. The filters of 64 taps at a time, and the places of these
// taps, are in shared memory. A thread keeps 4 pixels x 16 channels of sums in registers: it reads a
// value of x, which few channels leave in L1, for 16 products, and a filter's value for 4.
// Neighbouring threads own neighbouring pixels (y in NCHW) or channels (channels_last).
// Shared memory: 64 * (68 sums + 16 bytes), 18 KiB (double: 35 KiB).
#include "direct.h"

#include "../common/rows.cuh"

namespace fastconv::cuda {
namespace {

constexpr int THREADS = 256, PIXELS = 4, CHANNELS = 16, VECTOR = 4, TAPS = 64;
constexpr int PARTS = 4, LANES = THREADS / PARTS;  // threads across channels, across pixels
constexpr int BLOCK_PIXELS = LANES * PIXELS, BLOCK_CHANNELS = PARTS * CHANNELS;
constexpr int PITCH = BLOCK_CHANNELS + 4;  // puts the filters of 8 taps into different banks
// At least, of a multiprocessor: 128 registers for a thread, half of them sums. Sums in double take
// twice as many.
template <class Sum>
constexpr int BLOCKS = sizeof(Sum) == 8 ? 1 : 2;
static_assert(BLOCK_CHANNELS == LANES && THREADS % TAPS == 0, "threads cover the filters exactly");

// V elements of y, or 1, are stored at once.
template <class T, bool LAST, int V>
__global__ void __launch_bounds__(THREADS, BLOCKS<SumOf<T>>)
    first_layer(Gather g, Terms t, int64_t tiles_n, const T* __restrict__ in,
                const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ out) {
  FC_BLOCK(THREADS);
  using Sum = SumOf<T>;
  FC_SHARED(Sum, filters, [TAPS][PITCH]);
  FC_SHARED(Place, taps, [TAPS]);
  const int thread = threadIdx.x;
  const int part = LAST ? thread % PARTS : thread / LANES;
  const int lane = LAST ? thread / PARTS : thread % LANES;
  const int64_t tile_m = blockIdx.x / tiles_n, tile_n = blockIdx.x - tile_m * tiles_n;
  const int64_t first_row = tile_m * BLOCK_PIXELS + lane, first_column = tile_n * BLOCK_CHANNELS;
  Row rows[PIXELS];
#pragma unroll
  for (int p = 0; p < PIXELS; ++p) rows[p] = row_of(g, first_row + p * LANES, 0);

  Sum sums[PIXELS][CHANNELS] = {};
  for (int64_t first = 0; first < t.count; first += TAPS) {
    if (first > 0) __syncthreads();  // the filters before are read
    const int own = thread % TAPS;
    const bool exists = first + own < t.count;
    const Tap tap = tap_of<false>(g, t, exists ? first + own : 0);
    for (int i = thread / TAPS; i < BLOCK_CHANNELS; i += THREADS / TAPS) {
      const int64_t column = first_column + i;
      const bool filter = exists && column < g.columns;
      filters[own][i] = filter ? widen(weight[tap.weight + column * g.weight_column]) : Sum(0);
    }
    const Place place{tap.offset, tap.h, tap.w};
    if (thread < TAPS) copy_vector(&taps[thread], &place);
    __syncthreads();  // the filters are written
    const int count = int(min64(TAPS, t.count - first));
    for (int k = 0; k < count; ++k) {
      const Place at = load_place(&taps[k]);
      Sum values[PIXELS];
#pragma unroll
      for (int p = 0; p < PIXELS; ++p) {
        const bool inside = is_inside(rows[p].h + at.h, rows[p].w + at.w, int(g.IH), int(g.IW));
        values[p] = inside ? widen(in[rows[p].offset + at.offset]) : Sum(0);
      }
#pragma unroll
      for (int c = 0; c < CHANNELS; c += VECTOR) {
        Sum of_w[VECTOR];
        load_vectors(&filters[k][c * PARTS + part * VECTOR], of_w);
#pragma unroll
        for (int p = 0; p < PIXELS; ++p)
#pragma unroll
          for (int v = 0; v < VECTOR; ++v) sums[p][c + v] += of_w[v] * values[p];
      }
    }
  }

#pragma unroll
  for (int p = 0; p < PIXELS; ++p) {
    const int64_t row = first_row + p * LANES;
    if (row >= g.rows()) break;
    T* to = out + out_offset(g, row);
#pragma unroll
    for (int c = 0; c < CHANNELS; c += V) {
      const int64_t channel = first_column + (c / VECTOR * PARTS + part) * VECTOR + c % VECTOR;
      if (channel >= g.columns) continue;  // V divides the number of channels
      Vector<T, V> y;
#pragma unroll
      for (int v = 0; v < V; ++v)
        y.at[v] = narrow<T>(sums[p][c + v] + (bias ? widen(bias[channel + v]) : Sum(0)));
      copy_vector(reinterpret_cast<Vector<T, V>*>(to + channel * g.out.c), &y);
    }
  }
}

}  // namespace

template <class T>
cudaError_t direct_forward(const Conv2dShape& s, const T* x, const T* w, const T* bias, T* y,
                           cudaStream_t stream) {
  const Gather g = forward_gather(s);
  if (g.rows() == 0 || g.channels() == 0) return cudaSuccess;
  const int64_t tiles_n = ceil_div(g.columns, BLOCK_CHANNELS);
  const int64_t blocks = ceil_div(g.rows(), BLOCK_PIXELS) * tiles_n;
  const auto run = [&](auto kernel) {
    return launch("first layer", kernel, blocks, THREADS, stream, g, Terms(g, false), tiles_n, x, w,
                  bias, y);
  };
  constexpr int V = sizeof(T) == 8 ? 2 : VECTOR;
  if (!s.y_channels_last || s.OC == 1) return run(first_layer<T, false, 1>);
  const bool vectors = s.OC % V == 0 && reinterpret_cast<uintptr_t>(y) % (V * sizeof(T)) == 0;
  return vectors ? run(first_layer<T, true, V>) : run(first_layer<T, true, 1>);
}

#define INSTANTIATE(T)                                                                      \
  template cudaError_t direct_forward(const Conv2dShape&, const T*, const T*, const T*, T*, \
                                      cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
