// Depthwise forward and backward_input (formula: ../common/gather.h). Layer: cuda/depthwise.
//
// A thread computes a few pixels or channels, so that a weight that it loads serves all of them:
// NCHW: ROWS rows under each other; neighbouring threads are neighbouring columns of one plane.
// NHWC: the same of V neighbouring channels, loaded by one access; neighbouring threads are the next
// channels.
// A strided backward_input computes all phases in one launch, so that neighbouring threads write
// neighbouring pixels. Each thread takes the taps of its own phase.
// The halo that threads of a block share comes from L1. Shared memory: none. No sum is split.
#include "depthwise.h"

#include "../common/gather.h"

namespace fastconv::cuda {
namespace {

constexpr int THREADS = 256;
// At least, of a multiprocessor: 80 registers for a thread. For sm_120 ptxas needs up to 128.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1200
constexpr int BLOCKS = 2;
#else
constexpr int BLOCKS = 3;
#endif
constexpr int ROWS = 4;  // with 3x3 filters and stride 1, 6 rows of x serve 4 rows of y
// Of NHWC: with vectors of 8 channels, 2 rows are 16 sums.
template <int V>
constexpr int PIXEL_ROWS = V == 8 ? 2 : 4;

constexpr int MOST_PHASES = 4;  // of an axis in one launch; beyond, each phase has its own

// What differs between the phases of an axis: how many pixels it has; its taps; the place in `in` of
// its first pixel's first tap, and of the next tap; the weight of its first tap, and the next one.
struct Phase {
  int pixels, taps, first, tap_step, weight, weight_step;
};
// Pixel i of an axis is pixel i / count of phase i % count.
struct Phases {
  Divider<uint32_t> count;
  Phase at[MOST_PHASES];
};
struct Work {
  Gather g;
  Phases h, w;
};
// MANY: there may be more phases than one.
template <bool MANY>
__device__ __forceinline__ Quotient<uint32_t> pixel_of(const Phases& phases, uint32_t i) {
  if constexpr (MANY) return phases.count(i);
  return {i, 0};
}

template <class Index>
struct Decoder {
  int64_t count;                     // threads that have work
  Divider<Index> inner, mid, outer;  // of the linear index of a thread
};

// K: extent of both axes of the taps of the only phase, or 0: any.
template <class T, class Index, int K>
__global__ void __launch_bounds__(THREADS, BLOCKS)
    gather_planes(Work work, Decoder<Index> d, const T* __restrict__ in, const T* __restrict__ w,
                  const T* __restrict__ bias, T* __restrict__ out) {
  FC_BLOCK(THREADS);
  const Gather& g = work.g;
  const int64_t thread = int64_t(blockIdx.x) * THREADS + threadIdx.x;
  if (thread >= d.count) return;
  const auto [above, rw] = d.inner(Index(thread));  // ((n * channels + ch) * blocks + rb) * RW + rw
  const auto [plane, rb] = d.mid(above);
  const auto [n, ch] = d.outer(plane);
  const int64_t group = g.columns == 1 ? int64_t(ch) : int64_t(ch) / g.columns;
  const int64_t column = int64_t(ch) - group * g.columns;
  const auto [block, phase_h] = pixel_of<K == 0>(work.h, uint32_t(rb));
  const auto [number, phase_w] = pixel_of<K == 0>(work.w, uint32_t(rw));
  const Phase &of_h = work.h.at[phase_h], &of_w = work.w.at[phase_w];
  const int first_row = int(block) * ROWS, rows = of_h.pixels;
  const int JH = K ? K : of_h.taps, JW = K ? K : of_w.taps;
  const int top = of_h.first + first_row * int(g.row_step_h);
  const int left = of_w.first + int(number) * int(g.row_step_w);
  w += g.weight_first + of_h.weight + of_w.weight + group * g.weight_group +
       column * g.weight_column;
  in += int64_t(n) * g.in.n + group * g.C * g.in.c;
  SumOf<T> sums[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r) sums[r] = bias ? widen(bias[ch]) : SumOf<T>(0);
  for (int64_t c = 0; c < g.C; ++c)
#pragma unroll
    for (int jh = 0; jh < JH; ++jh)
#pragma unroll
      for (int jw = 0; jw < JW; ++jw) {
        const SumOf<T> weight =
            widen(w[c * g.weight_c + jh * of_h.weight_step + jw * of_w.weight_step]);
        const int iw = left + jw * of_w.tap_step;
        if (iw < 0 || iw >= int(g.IW)) continue;
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
          const int ih = top + r * int(g.row_step_h) + jh * of_h.tap_step;
          if (ih >= 0 && ih < int(g.IH) && first_row + r < rows)
            sums[r] += weight * widen(in[c * g.in.c + ih * g.in.h + iw * g.in.w]);
        }
      }
  out += g.out_first + int64_t(n) * g.out.n + int64_t(ch) * g.out.c + int64_t(rw) * g.out.w;
  const int apart = K ? 1 : int(work.h.count.divisor), first_out = first_row * apart + int(phase_h);
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
    if (first_row + r < rows) out[(first_out + r * apart) * g.out.h] = narrow<T>(sums[r]);
}

// V > 1: C = columns = 1, and all addresses are multiples of V elements.
template <class T, class Index, int K, int V>
__global__ void __launch_bounds__(THREADS, BLOCKS)
    gather_pixels(Work work, Decoder<Index> d, const T* __restrict__ in, const T* __restrict__ w,
                  const T* __restrict__ bias, T* __restrict__ out) {
  FC_BLOCK(THREADS);
  constexpr int ROWS = PIXEL_ROWS<V>;
  const Gather& g = work.g;
  const int64_t thread = int64_t(blockIdx.x) * THREADS + threadIdx.x;
  if (thread >= d.count) return;
  // thread = ((n * row blocks + rb) * RW + rw) * (channels / V) + cv
  const auto [above, cv] = d.inner(Index(thread));
  const auto [line, rw] = d.mid(above);
  const auto [n, rb] = d.outer(line);
  const int64_t ch = int64_t(cv) * V;
  const int64_t group = g.columns == 1 ? ch : ch / g.columns, column = ch - group * g.columns;
  const auto [block, phase_h] = pixel_of<K == 0>(work.h, uint32_t(rb));
  const auto [number, phase_w] = pixel_of<K == 0>(work.w, uint32_t(rw));
  const Phase &of_h = work.h.at[phase_h], &of_w = work.w.at[phase_w];
  const int first_row = int(block) * ROWS, rows = of_h.pixels;
  const int JH = K ? K : of_h.taps, JW = K ? K : of_w.taps;
  const int top = of_h.first + first_row * int(g.row_step_h);
  const int left = of_w.first + int(number) * int(g.row_step_w);
  w += g.weight_first + of_h.weight + of_w.weight + group * g.weight_group +
       column * g.weight_column;
  in += int64_t(n) * g.in.n + group * g.C * g.in.c;
  SumOf<T> sums[ROWS][V];
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const SumOf<T> first = bias ? widen(bias[ch + v]) : SumOf<T>(0);
#pragma unroll
    for (int r = 0; r < ROWS; ++r) sums[r][v] = first;
  }
  for (int64_t c = 0; c < g.C; ++c)
    for (int jh = 0; jh < JH; ++jh)
#pragma unroll
      for (int jw = 0; jw < JW; ++jw) {
        const int iw = left + jw * of_w.tap_step;
        if (iw < 0 || iw >= int(g.IW)) continue;
        const T* weight = w + c * g.weight_c + jh * of_h.weight_step + jw * of_w.weight_step;
        SumOf<T> weights[V];
#pragma unroll
        for (int v = 0; v < V; ++v) weights[v] = widen(weight[v * g.weight_group]);
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
          const int ih = top + r * int(g.row_step_h) + jh * of_h.tap_step;
          if (ih < 0 || ih >= int(g.IH) || first_row + r >= rows) continue;
          const T* from = in + c * g.in.c + ih * g.in.h + iw * g.in.w;
          Vector<T, V> x;
          copy_vector(&x, reinterpret_cast<const Vector<T, V>*>(from));
#pragma unroll
          for (int v = 0; v < V; ++v) sums[r][v] += weights[v] * widen(x.at[v]);
        }
      }
  T* to = out + g.out_first + int64_t(n) * g.out.n + int64_t(rw) * g.out.w + ch;
  const int apart = K ? 1 : int(work.h.count.divisor), first_out = first_row * apart + int(phase_h);
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    if (first_row + r >= rows) break;
    Vector<T, V> y;
#pragma unroll
    for (int v = 0; v < V; ++v) y.at[v] = narrow<T>(sums[r][v]);
    copy_vector(reinterpret_cast<Vector<T, V>*>(to + (first_out + r * apart) * g.out.h), &y);
  }
}

template <class T>
bool aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

template <class T, class Index, int K>
cudaError_t launch_gather(const Work& work, const T* in, const T* w, const T* bias, T* out,
                          cudaStream_t stream) {
  constexpr int V = 16 / sizeof(T);
  const Gather& g = work.g;
  const bool out_last = g.out.c == 1 && g.channels() > 1;
  const bool vectors = out_last && g.channels_last && g.C == 1 && g.columns == 1 &&
                       g.channels() % V == 0 && aligned<T>(in) && aligned<T>(out);
  const int64_t phases = work.h.count.divisor, phase_rows = ceil_div(g.RH, phases);
  Decoder<Index> d;
  int64_t inner = g.RW, mid = phases * ceil_div(phase_rows, ROWS), outer = g.channels();
  if (out_last) {
    inner = g.channels() / (vectors ? V : 1), mid = g.RW;
    outer = phases * ceil_div(phase_rows, vectors ? PIXEL_ROWS<V> : PIXEL_ROWS<1>);
  }
  d.count = g.N * inner * mid * outer;
  d.inner = Divider<Index>(inner), d.mid = Divider<Index>(mid), d.outer = Divider<Index>(outer);
  const int64_t blocks = ceil_div(d.count, THREADS);
  const auto run = [&](auto kernel) {
    return launch("depthwise gather", kernel, blocks, THREADS, stream, work, d, in, w, bias, out);
  };
  if (!out_last) return run(gather_planes<T, Index, K>);
  return vectors ? run(gather_pixels<T, Index, K, V>) : run(gather_pixels<T, Index, K, 1>);
}

template <class T>
cudaError_t run_gather(const Work& work, const T* in, const T* w, const T* bias, T* out,
                       const Tuning& tuning, cudaStream_t stream) {
  const Gather& g = work.g;
  if (g.rows() == 0 || g.channels() == 0) return cudaSuccess;
  if (tuning.wide_index || !is_narrow(g.rows() * g.channels() * ROWS))
    return launch_gather<T, uint64_t, 0>(work, in, w, bias, out, stream);
  const bool one_phase = work.h.count.divisor == 1 && work.w.count.divisor == 1;
  if (one_phase && work.h.at[0].taps == 3 && work.w.at[0].taps == 3)
    return launch_gather<T, uint32_t, 3>(work, in, w, bias, out, stream);
  return launch_gather<T, uint32_t, 0>(work, in, w, bias, out, stream);
}

// Of a gather that is one phase alone.
Work one_phase(const Gather& g) {
  Work work{g, {}, {}};
  work.h.at[0] = {int(g.RH), int(g.JH), int(g.first_h), int(g.tap_step_h), 0, int(g.weight_h)};
  work.w.at[0] = {int(g.RW), int(g.JW), int(g.first_w), int(g.tap_step_w), 0, int(g.weight_w)};
  return work;
}

Phases phases_of(int64_t I, int64_t K, int64_t stride, int64_t pad, int64_t dilation,
                 int64_t weight_step) {
  Phases phases;
  phases.count = Divider<uint32_t>(stride);
  for (int64_t first = 0; first < stride; ++first) {
    const AxisPhase p = axis_phase((first + pad) % stride, I, K, stride, pad, dilation);
    phases.at[first] = {int(p.count),
                        int(p.taps),
                        int(p.position),
                        int(p.position_step),
                        int(p.first_tap * weight_step),
                        int(p.tap_step * weight_step)};
  }
  return phases;
}
// backward_input of strides up to MOST_PHASES.
Work all_phases(const Conv2dShape& s) {
  const Strides w = s.w_strides();
  Gather g = backward_input_gather(s, 0, 0);
  g.RH = s.IH, g.RW = s.IW, g.out = s.x_strides();
  g.out_first = g.weight_first = 0;
  return {g, phases_of(s.IH, s.KH, s.stride_h, s.pad_top, s.dilation_h, w.h),
          phases_of(s.IW, s.KW, s.stride_w, s.pad_left, s.dilation_w, w.w)};
}

}  // namespace

template <class T>
cudaError_t depthwise_forward(const Conv2dShape& s, const T* x, const T* w, const T* bias, T* y,
                              const Tuning& tuning, cudaStream_t stream) {
  return run_gather(one_phase(forward_gather(s)), x, w, bias, y, tuning, stream);
}

template <class T>
cudaError_t depthwise_backward_input(const Conv2dShape& s, const T* grad_y, const T* w, T* grad_x,
                                     const Tuning& tuning, cudaStream_t stream) {
  const T* no_bias = nullptr;
  if (s.stride_h <= MOST_PHASES && s.stride_w <= MOST_PHASES)
    return run_gather(all_phases(s), grad_y, w, no_bias, grad_x, tuning, stream);
  for (int64_t h = 0; h < s.stride_h; ++h)
    for (int64_t v = 0; v < s.stride_w; ++v) {
      const Work work = one_phase(backward_input_gather(s, h, v));
      const cudaError_t error = run_gather(work, grad_y, w, no_bias, grad_x, tuning, stream);
      if (error != cudaSuccess) return error;
    }
  return cudaSuccess;
}

#define INSTANTIATE(T)                                                                         \
  template cudaError_t depthwise_forward(const Conv2dShape&, const T*, const T*, const T*, T*, \
                                         const Tuning&, cudaStream_t);                         \
  template cudaError_t depthwise_backward_input(const Conv2dShape&, const T*, const T*, T*,    \
                                                const Tuning&, cudaStream_t);
FC_FOR_EACH_TYPE(INSTANTIATE)

}  // namespace fastconv::cuda
