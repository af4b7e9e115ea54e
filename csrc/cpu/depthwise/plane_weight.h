// Depthwise backward_weight of few channels with stride 1, from planes as they lie in memory (a plane:
// planes.h). Layer: cpu/depthwise, for the driver in weight.cpp.
//
// Loops, outermost first, and the data of each:
//   share of the (n, band) pairs   parallel; each has sums of its own
//     channel, or phase            NCHW: a plane for each channel. channels_last: vector j begins with
//                                  channel j * LANES % C, so every C-th vector has the same sums
//       12 taps at most            one pass over a band of x and grad_y, in L1 and L2
// The lanes of a band are added to the sums of the share, and these in a fixed order.
#pragma once

#include <algorithm>

#include "../common/parallel.h"
#include "../common/weight_bands.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "table.h"

namespace fastconv::cpu {

constexpr int64_t PLANE_BAND_ELEMENTS = 8192;  // of grad_y: x and grad_y of a band stay in L2

template <class T>
struct PlaneWeightSchedule {
  using Sum = SumOf<T>;
  const Conv2dShape& s;
  const bool is_flat;  // a plane is an image
  const int64_t column, OW, taps;
  const Isa isa;
  const int64_t lanes;
  void (*const sums_of)(const DepthwisePlaneSums<T>&);
  bool runs;  // whether this driver takes the shape
  int64_t band_rows, bands, shares;
  int threads;

  PlaneWeightSchedule(const Conv2dShape& shape, int wanted_threads)
      : s(shape),
        is_flat(s.x_channels_last && s.groups > 1),
        column(is_flat ? s.groups : 1),
        OW(s.OW() * column),
        taps(s.KH * s.KW),
        isa(isa_for_channels(1, sizeof(Sum))),
        lanes(row_kernels<T>(isa).lanes),
        sums_of(depthwise_kernels<T>(isa).plane_sums) {
    runs = sums_of && s.x_channels_last == s.y_channels_last && s.group_OC() == 1 &&
           s.groups < lanes && s.stride_h == 1 && s.stride_w == 1 && OW >= 4 * lanes;
    band_rows = clamp64(PLANE_BAND_ELEMENTS / max64(1, OW), 1, max64(1, s.OH()));
    bands = ceil_div(s.OH(), band_rows);
    const int64_t bytes = s.groups * (taps + 1) * int64_t(sizeof(Sum));
    shares = shares_of(s.N * bands, WEIGHT_JOBS, bytes);
    threads = threads_for(s.multiply_adds(), wanted_threads);
  }
};

template <class T>
struct PlaneWeightArrays {
  using Sum = SumOf<T>;
  Sum* sums;     // [shares][groups][taps, then grad_bias]
  Sum* vectors;  // [threads][taps, then grad_bias][lanes]
  int64_t bytes;

  PlaneWeightArrays(const PlaneWeightSchedule<T>& p, void* base) {
    Workspace workspace(base);
    sums = workspace.take<Sum>(p.shares * p.s.groups * (p.taps + 1));
    vectors = workspace.take<Sum>(p.threads * (p.taps + 1) * p.lanes);
    bytes = workspace.bytes();
  }
};

template <class T>
void sum_plane_share(const PlaneWeightSchedule<T>& p, const PlaneWeightArrays<T>& b,
                     const BackwardWeightBuffers<T>& io, int64_t share, int thread) {
  const Conv2dShape& s = p.s;
  const Strides xs = s.x_strides(), ys = s.y_strides();
  const int64_t C = s.groups, sums_of_one = p.taps + 1, units = s.N * p.bands;
  SumOf<T>* sums = b.sums + share * C * sums_of_one;
  SumOf<T>* vectors = b.vectors + thread * sums_of_one * p.lanes;
  std::fill(sums, sums + C * sums_of_one, SumOf<T>(0));
  DepthwisePlaneSums<T> t{};
  t.IH = s.IH, t.IW = s.IW * p.column, t.OW = p.OW;
  t.step = p.lanes * p.column;
  for (int64_t unit = share * units / p.shares; unit < (share + 1) * units / p.shares; ++unit) {
    const int64_t n = unit / p.bands;
    t.begin = unit % p.bands * p.band_rows, t.end = min64(t.begin + p.band_rows, s.OH());
    for (int64_t c = 0; c < C; ++c) {
      std::fill(vectors, vectors + sums_of_one * p.lanes, SumOf<T>(0));
      t.first = p.is_flat ? c * p.lanes : 0;
      t.x = io.x + n * xs.n + (p.is_flat ? 0 : c * xs.c);
      t.grad_y = io.grad_y + n * ys.n + (p.is_flat ? 0 : c * ys.c);
      for (int64_t tap = 0; tap < p.taps; tap += t.taps) {
        t.taps = static_cast<int>(min64(DepthwisePlaneSums<T>::MOST_TAPS, p.taps - tap));
        for (int i = 0; i < t.taps; ++i) {
          t.row[i] = (tap + i) / s.KW * s.dilation_h - s.pad_top;
          t.column[i] = ((tap + i) % s.KW * s.dilation_w - s.pad_left) * p.column;
        }
        t.sums = vectors + tap * p.lanes;
        t.bias_sum = tap == 0 && io.grad_bias ? vectors + p.taps * p.lanes : nullptr;
        p.sums_of(t);
      }
      for (int64_t lane = 0; lane < p.lanes; ++lane) {
        SumOf<T>* to = sums + (p.is_flat ? (t.first + lane) % C : c) * sums_of_one;
        for (int64_t i = 0; i < sums_of_one; ++i) to[i] += vectors[i * p.lanes + lane];
      }
    }
  }
}

template <class T>
void run_plane_weight(const PlaneWeightSchedule<T>& p, const BackwardWeightBuffers<T>& io,
                      void* workspace) {
  const PlaneWeightArrays<T> b(p, workspace);
  parallel_jobs(p.threads, p.shares,
                [&](int64_t share, int thread) { sum_plane_share(p, b, io, share, thread); });
  const int64_t sums_of_one = p.taps + 1, all = p.s.groups * sums_of_one;
  for (int64_t share = 1; share < p.shares; ++share)
    for (int64_t i = 0; i < all; ++i) b.sums[i] += b.sums[share * all + i];
  for (int64_t c = 0; c < p.s.groups; ++c) {
    const SumOf<T>* from = b.sums + c * sums_of_one;
    for (int64_t i = 0; i < p.taps; ++i) io.grad_w[c * p.taps + i] = T(from[i]);
    if (io.grad_bias) io.grad_bias[c] = T(from[p.taps]);
  }
}

}  // namespace fastconv::cpu
