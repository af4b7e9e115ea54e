// The pixels of y as terms of backward_weight, and the taps of w as its columns. Layer: cuda/common.
#pragma once

#include "../../core/shape.h"
#include "divider.h"
#include "partials.cuh"
#include "rows.cuh"
#include "tuning.h"

namespace fastconv::cuda {

struct Pixel {
  int64_t x, y;  // offsets in x and grad_y
  int h, w;      // place of tap (0, 0)
};

struct Pixels {
  Strides x, y;
  int stride_h, stride_w, pad_top, pad_left;
  Divider<uint64_t> OW, OH;

  explicit Pixels(const Conv2dShape& s)
      : x(s.x_strides()),
        y(s.y_strides()),
        stride_h(int(s.stride_h)),
        stride_w(int(s.stride_w)),
        pad_top(int(s.pad_top)),
        pad_left(int(s.pad_left)),
        OW(s.OW()),
        OH(s.OH()) {}

  // Of the linear index (n * OH + oh) * OW + ow.
  __device__ __forceinline__ Pixel operator()(int64_t pixel) const {
    const auto [line, ow] = OW(uint64_t(pixel));
    const auto [n, oh] = OH(line);
    const int h = int(oh) * stride_h - pad_top, w = int(ow) * stride_w - pad_left;
    return {int64_t(n) * x.n + h * x.h + w * x.w,
            int64_t(n) * y.n + int64_t(oh) * y.h + int64_t(ow) * y.w, h, w};
  }
};

// grad_w as a matrix product whose sum is split: what a kernel needs of the shape.
//   M = channels of a group, N = its taps, K = N * OH * OW pixels
struct WeightProduct {
  Conv2dShape s;
  Pixels at;
  Strides w;
  int64_t pixels, range;  // all, and those of a block
  int64_t taps, w_count;
  int64_t tiles_m, tiles_n;  // of a group
};
struct WeightPlan {
  WeightProduct work;
  int64_t splits, blocks;
};

// tile_m, tile_n: results of a block. step: pixels that it multiplies at a time. least_steps: of a
// block; below, the second stage costs more.
inline WeightPlan plan_weight(const Conv2dShape& s, const Tuning& tuning, int64_t tile_m,
                              int64_t tile_n, int64_t step, int64_t least_steps) {
  WeightPlan plan{{s, Pixels(s), s.w_strides(), 0, 0, 0, 0, 0, 0}, 0, 0};
  WeightProduct& p = plan.work;
  p.pixels = s.N * s.OH() * s.OW(), p.taps = s.terms(), p.w_count = s.w_count();
  p.tiles_m = ceil_div(s.group_OC(), tile_m), p.tiles_n = ceil_div(p.taps, tile_n);
  const int64_t tiles = s.groups * p.tiles_m * p.tiles_n;
  plan.splits = tuning.splits > 0 ? min64(tuning.splits, MAX_SPLITS)
                                  : choose_splits(tiles, p.pixels, least_steps * step);
  p.range = round_up(max64(1, ceil_div(p.pixels, plan.splits)), step);
  plan.blocks = tiles * plan.splits;
  return plan;
}
template <class T>
int64_t partials_bytes(const WeightPlan& plan) {
  return plan.splits * plan.work.w_count * int64_t(sizeof(SumOf<T>));
}

// What a block owns: blockIdx.x = ((split * groups + group) * tiles_m + ...) * tiles_n + ...
struct WeightTile {
  int64_t tile_m, tile_n, split, group, first_pixel, end;
};
__device__ __forceinline__ WeightTile weight_tile(const WeightProduct& p, int64_t number) {
  int64_t above = number / p.tiles_n;
  const int64_t tile_n = number - above * p.tiles_n, tile_m = above % p.tiles_m;
  above /= p.tiles_m;
  const int64_t split = above / p.s.groups, first = split * p.range;
  return {tile_m, tile_n, split, above - split * p.s.groups, first, min64(first + p.range, p.pixels)};
}

struct WeightTap {
  int64_t x, w;  // offsets in x and grad_w
  int h, v;      // place relative to tap (0, 0)
  bool exists;
};
// Taps are numbered as (c, kh, kw) or, with LAST, as (kh, kw, c).
template <bool LAST>
__device__ __forceinline__ WeightTap weight_tap(const WeightProduct& p, int64_t tap) {
  if (tap >= p.taps) return {0, 0, NOWHERE, 0, false};
  const int64_t inner = LAST ? p.s.group_IC() : p.s.KW, outer = LAST ? p.s.KW : p.s.KH;
  const int64_t above = tap / inner, s = tap - above * inner, q = above / outer;
  const int64_t r = above - q * outer;
  const int64_t c = LAST ? s : q, kh = LAST ? q : r, kw = LAST ? r : s;
  const int h = int(kh * p.s.dilation_h), v = int(kw * p.s.dilation_w);
  return {c * p.at.x.c + h * p.at.x.h + v * p.at.x.w, c * p.w.c + kh * p.w.h + kw * p.w.w, h, v,
          true};
}

}  // namespace fastconv::cuda
