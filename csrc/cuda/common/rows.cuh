// The pixels of a gather as rows of a matrix product, its taps as terms. Layer: cuda/common.
#pragma once

#include "elements.h"
#include "gather.h"

namespace fastconv::cuda {

constexpr int NOWHERE = INT32_MIN / 2;  // a row or tap that does not exist; two of them do not overflow

struct Row {
  int64_t offset;
  int h, w;  // h is beyond every image for rows that do not exist
};
__device__ __forceinline__ Row row_of(const Gather& g, int64_t row, int64_t group) {
  if (row >= g.rows()) return {0, NOWHERE, 0};
  const int64_t line = row / g.RW, n = line / g.RH;
  const int h = int(g.first_h + (line - n * g.RH) * g.row_step_h);
  const int w = int(g.first_w + (row - line * g.RW) * g.row_step_w);
  return {n * g.in.n + group * g.C * g.in.c + h * g.in.h + w * g.in.w, h, w};
}

// Where a row is stored, in the first channel of `out`.
__device__ __forceinline__ int64_t out_offset(const Gather& g, int64_t row) {
  const int64_t line = row / g.RW, n = line / g.RH;
  return g.out_first + n * g.out.n + (line - n * g.RH) * g.out.h + (row - line * g.RW) * g.out.w;
}

// The terms of a gather's sums, numbered as (c, jh, jw) or, with channels_last, as (jh, jw, c).
struct Terms {
  int64_t count;
  Divider<uint32_t> inner, outer;  // k = (q * outer + r) * inner + s

  Terms(const Gather& g, bool channels_last)
      : count(g.terms()),
        inner(channels_last ? g.C : g.JW),
        outer(channels_last ? g.JW : g.JH) {}
};

struct Tap {
  int64_t offset, weight;
  int h, w;
};
template <bool LAST>
__device__ __forceinline__ Tap tap_of(const Gather& g, const Terms& t, int64_t k) {
  const auto [above, s] = t.inner(uint32_t(k));
  const auto [q, r] = t.outer(above);
  const int64_t c = LAST ? s : q, jh = LAST ? q : r, jw = LAST ? r : s;
  const int h = int(jh * g.tap_step_h), w = int(jw * g.tap_step_w);
  return {c * g.in.c + h * g.in.h + w * g.in.w, c * g.weight_c + jh * g.weight_h + jw * g.weight_w,
          h, w};
}

// Where a tap lies beside a pixel, as a block's threads share it: one access of 16 bytes.
struct alignas(16) Place {
  int64_t offset;
  int h, w;
};
__device__ __forceinline__ Place load_place(const Place* from) {
  Place place;
  copy_vector(&place, from);
  return place;
}
// Whether (h, w) is a pixel of an image of H x W: a negative number is a large one without a sign.
__device__ __forceinline__ bool is_inside(int h, int w, int H, int W) {
  return unsigned(h) < unsigned(H) && unsigned(w) < unsigned(W);
}

}  // namespace fastconv::cuda
