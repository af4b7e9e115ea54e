// Direct convolution, backward_weight, with few output channels: lanes = pixels of a row (formula:
// ../../core/conv2d.h). Layer: cpu/direct, for the driver in weight.cpp.
//
// Loops, outermost first, and the data of each:
//   group, share of the (n, band) pairs   parallel; each has sums [oc][tap][lanes] of its own
//     n, band                             packs C channels of x, in L1 or L2; NCHW grad_y is in place
//       3 output channels at most
//         taps                            a register tile sums over all pixels of the band
// The sums of the shares are added in a fixed order, then their lanes. grad_bias is one more tap, which
// reads ones.
#pragma once

#include <algorithm>

#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "schedule.h"

namespace fastconv::cpu {

template <class T>
struct PixelWeightSchedule {
  using Sum = SumOf<T>;
  const Conv2dShape& s;
  const RowKernels<T>& k;
  const DirectKernels<Sum>& tiles_of;
  int threads;
  Band band;
  int64_t panels;          // of the output channels of a group
  int64_t taps, of_share;  // without the tap of grad_bias; sums of a share
  int64_t units, shares;   // (n, band) pairs; the shares that split them

  PixelWeightSchedule(const Conv2dShape& shape, int wanted_threads)
      : s(shape), k(row_kernels<T>(isa_of(s))), tiles_of(direct_kernels<Sum>(isa_of(s))) {
    threads = threads_for(s.multiply_adds(), wanted_threads);
    band = weight_band(s, sizeof(Sum));
    panels = ceil_div(s.group_OC(), DirectKernels<Sum>::WEIGHT_CHANNELS);
    taps = band.taps();
    of_share = s.group_OC() * (taps + 1) * k.lanes;
    units = s.N * band.bands();
    shares = shares_of(units, ceil_div(WEIGHT_JOBS, s.groups),
                       s.groups * of_share * int64_t(sizeof(Sum)));
  }
  static Isa isa_of(const Conv2dShape& s) { return isa_for_channels(s.OW(), sizeof(Sum)); }
  static bool runs(const Conv2dShape& s) {
    return weight_pixel_lanes(s, row_kernels<T>(isa()).lanes);
  }
  bool grad_y_in_place() const { return !IS_WIDENED<T> && !s.y_channels_last; }
};

template <class T>
struct PixelWeightArrays {
  using Sum = SumOf<T>;
  Sum* sums;     // [groups][shares][OC of a group][taps + 1][lanes]
  int32_t* tap;  // [taps + 1]
  Sum* scratch;  // [threads]: packed band of x, a plane of ones, grad_y as [oc][rows][OW]
  int64_t scratch_count, ones_offset, grad_y_offset;
  int64_t bytes;

  PixelWeightArrays(const PixelWeightSchedule<T>& p, void* base) {
    Workspace workspace(base);
    sums = workspace.take<Sum>(p.s.groups * p.shares * p.of_share);
    tap = workspace.take<int32_t>(p.taps + 1);
    ones_offset = p.band.count();
    grad_y_offset = round_up(ones_offset + p.band.plane(), CACHE_LINE);
    const int64_t grad_y = p.grad_y_in_place() ? 0 : p.s.group_OC() * p.band.rows * p.s.OW();
    scratch_count = round_up(grad_y_offset + grad_y, CACHE_LINE);
    scratch = workspace.take<Sum>(p.threads * scratch_count);
    bytes = workspace.bytes();
  }
};

// Sums the products of one share.
template <class T>
void sum_pixels(const PixelWeightSchedule<T>& p, const PixelWeightArrays<T>& b,
                const BackwardWeightBuffers<T>& io, int64_t job, int thread) {
  using Sum = SumOf<T>;
  const Conv2dShape& s = p.s;
  const Strides xs = s.x_strides(), ys = s.y_strides();
  const int64_t group = job / p.shares, share = job % p.shares, OC = s.group_OC();
  const int64_t taps = p.taps + (io.grad_bias ? 1 : 0), sums_channel = (p.taps + 1) * p.k.lanes;
  Sum* sums = b.sums + job * p.of_share;
  Sum* x = b.scratch + thread * b.scratch_count;
  std::fill(sums, sums + p.of_share, Sum(0));
  std::fill(x + b.ones_offset, x + b.ones_offset + p.band.plane(), Sum(1));
  for (int64_t unit = share * p.units / p.shares; unit < (share + 1) * p.units / p.shares; ++unit) {
    const int64_t n = unit / p.band.bands(), i0 = unit % p.band.bands() * p.band.rows;
    const int64_t rows = min64(p.band.rows, s.OH() - i0), pixels = rows * s.OW();
    pack_band(p.band, io.x + n * xs.n + group * s.group_IC() * xs.c, i0, rows, x);
    const T* from = io.grad_y + n * ys.n + group * OC * ys.c + i0 * ys.h;
    const Sum* grad_y = x + b.grad_y_offset;
    int64_t y_channel = pixels;
    if constexpr (!IS_WIDENED<T>)
      if (p.grad_y_in_place()) grad_y = from, y_channel = ys.c;
    if (!p.grad_y_in_place()) {
      if (ys.w == 1)
        p.k.copy_in(OC, pixels, from, ys.c, x + b.grad_y_offset, pixels, 0);
      else
        p.k.transpose_in(pixels, OC, from, ys.w, x + b.grad_y_offset, pixels);
    }
    for (int64_t panel = 0; panel < p.panels; ++panel) {
      const int64_t oc = panel * OC / p.panels, channels = (panel + 1) * OC / p.panels - oc;
      const int64_t tiles = ceil_div(taps, p.tiles_of.weight_pixel_taps[channels - 1]);
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t t0 = t * taps / tiles, count = (t + 1) * taps / tiles - t0;
        p.tiles_of.weight_pixel_tiles[channels - 1][count - 1](
            WeightPixelTile<Sum>{b.tap + t0, grad_y + oc * y_channel, y_channel, x,
                                 sums + oc * sums_channel + t0 * p.k.lanes, sums_channel, rows,
                                 s.OW(), p.band.output_row()});
      }
    }
  }
}

// Adds the shares of one group in order, and the lanes, and writes the result.
template <class T>
void finish_pixels(const PixelWeightSchedule<T>& p, const PixelWeightArrays<T>& b,
                   const BackwardWeightBuffers<T>& io, int64_t group) {
  using Sum = SumOf<T>;
  const Conv2dShape& s = p.s;
  const Strides w = s.w_strides();
  Sum* sums = b.sums + group * p.shares * p.of_share;
  for (int64_t share = 1; share < p.shares; ++share)
    p.k.add(p.of_share, sums + share * p.of_share, sums);
  const auto next = [&] {
    Sum sum = 0;
    for (int64_t lane = 0; lane < p.k.lanes; ++lane) sum += *sums++;
    return T(sum);
  };
  for (int64_t oc = group * s.group_OC(); oc < (group + 1) * s.group_OC(); ++oc) {
    for (int64_t c = 0; c < s.group_IC(); ++c)
      for (int64_t kh = 0; kh < s.KH; ++kh)
        for (int64_t kw = 0; kw < s.KW; ++kw)
          io.grad_w[oc * w.n + c * w.c + kh * w.h + kw * w.w] = next();
    const T bias = next();
    if (io.grad_bias) io.grad_bias[oc] = bias;
  }
}

template <class T>
void run_pixel_weight(const PixelWeightSchedule<T>& p, const BackwardWeightBuffers<T>& io,
                      void* workspace) {
  const PixelWeightArrays<T> b(p, workspace);
  fill_tap_offsets(p.band, b.tap);
  b.tap[p.taps] = static_cast<int32_t>(b.ones_offset);
  parallel_jobs(p.threads, p.s.groups * p.shares,
                [&](int64_t job, int thread) { sum_pixels(p, b, io, job, thread); });
  parallel_jobs(p.threads, p.s.groups, [&](int64_t group, int) { finish_pixels(p, b, io, group); });
}

}  // namespace fastconv::cpu
