// Results of Winograd that see only padding. They are sums of no products, so they must be exactly
// 0 (or the bias). The transforms would leave rounding errors. Layer: cpu/winograd, for drivers.
#pragma once

#include "../../core/shape.h"

namespace fastconv::cpu {

// Returns the o in [0, out) that see a pixel: o + k - before lies in [0, in) for some k in [0, K).
constexpr Window seeing(int64_t out, int64_t K, int64_t before, int64_t in) {
  const int64_t first = clamp64(before - K + 1, 0, out);
  return {first, clamp64(in + before, first, out)};
}

// The elements (h, w) of an H x W plane that lie outside rows x columns.
struct Unseen {
  int64_t H, W;
  Window rows, columns;

  constexpr bool none() const {
    return rows.first == 0 && rows.end == H && columns.first == 0 && columns.end == W;
  }
  template <class F>
  void for_each(const F& f) const {
    for (int64_t h = 0; h < H; ++h) {
      const bool inside = rows.first <= h && h < rows.end;
      for (int64_t w = 0; w < (inside ? columns.first : W); ++w) f(h, w);
      for (int64_t w = inside ? columns.end : W; w < W; ++w) f(h, w);
    }
  }
};

}  // namespace fastconv::cpu
