// Parts of Winograd's backward_weight that both forms use: the transforms of grad_y to dM and of dU
// to grad_w. Layer: cpu/winograd, for drivers.
#pragma once

#include "stages.h"
#include "tiles.h"

namespace fastconv::cpu {

// Returns the bytes of V and dM of a strip. Every strip reads and writes dU, so strips are long if
// dU is large.
template <class T>
int64_t strip_bytes(const WinogradConv& c) {
  constexpr int64_t BYTES = int64_t(8) << 20, LONG_BYTES = int64_t(24) << 20;
  constexpr int64_t LARGE_FILTERS = int64_t(8) << 20;
  return POINT_COUNT * c.C * c.M * int64_t(sizeof(T)) > LARGE_FILTERS ? LONG_BYTES : BYTES;
}

// Returns whether V and dM of a strip, `bytes` together, are written by non-temporal stores,
// because L2 would not hold them until they are read.
inline bool streams(int64_t bytes) { return bytes > int64_t(4) << 20; }

constexpr int64_t FEW_SHARES = 4;  // they divide evenly among two or four threads

// Returns whether dU leaves room in L2 for V and dM of PART tiles, and there are FEW_SHARES strips of
// so many tiles.
template <class T>
bool small_filters(const WinogradConv& c) {
  constexpr int64_t BYTES = int64_t(2) << 20;
  const int64_t out = outputs_of_tile(c.K);
  return c.C <= BYTES && c.M <= BYTES &&
         POINT_COUNT * (c.C * c.M + WINOGRAD_PART * (c.C + c.M)) * int64_t(sizeof(T)) <= BYTES &&
         !product_below(FEW_SHARES * WINOGRAD_PART, c.N, ceil_div(c.OH, out), ceil_div(c.OW, out));
}

// Transforms tiles.count neighbouring tiles, `lanes` channels of grad_y from `channel` on, to
// tiles.points_out. Adds the sums of their pixels to bias[lanes], unless it is null.
template <class P, class T>
void gradient_to_points(const WinogradConv& c, const RowKernels<P>& k,
                        const WinogradTransforms<T>& transforms, const P* grad_y,
                        const RowPlace& at, int64_t group, int64_t channel, WinogradTiles<T> tiles,
                        T* bias, T* scratch) {
  const int64_t out = outputs_of_tile(c.K);
  const Rectangle<P> from{grad_y + at.n * c.y.n + (group * c.M + channel) * c.y.c,
                          c.y,
                          c.OH,
                          c.OW,
                          min64(k.lanes, c.M - channel),
                          at.oh,
                          at.ow};
  tiles.sum = bias;
  pixels_to_points(k, transforms.output_gradient, from, out, out, tiles, scratch);
}

// The memory of dU of the channels c in [first, end) and one panel: [xi][c - first][m % PANEL].
template <class T>
struct PanelSums {
  T* u;
  int64_t u_point;
  int64_t first, end;
  bool add;  // add to the present values
};

// Transforms dU[m / PANEL][c / SLAB][xi][c % SLAB][m % PANEL] to grad_w.
template <class P>
struct FilterGradient {
  using T = SumOf<P>;                   // of points; pixels and filters are stored as P
  static constexpr int64_t CHUNK = 16;  // channels c at a time

  const WinogradConv& c;
  const RowKernels<P>& k;
  const WinogradTransforms<T>& transforms;
  int64_t panel, slab, u_point, u_slab;

  template <class Form>
  FilterGradient(const Form& form, int64_t slab_channels)
      : c(form.c),
        k(form.k),
        transforms(form.transforms),
        panel(form.panel),
        slab(slab_channels),
        u_point(slab * panel + CACHE_LINE / int64_t(sizeof(T))),
        u_slab(POINT_COUNT * u_point) {}
  int64_t slabs() const { return ceil_div(c.C, slab); }
  int64_t chunks(const PanelSums<T>& sums) const { return ceil_div(sums.end - sums.first, CHUNK); }
  int64_t scratch_count() const { return CHUNK * c.K * c.K * k.lanes; }

  PanelSums<T> sums(T* u, int64_t slab_index, bool add) const {
    return {u, u_point, slab_index * slab, min64(c.C, (slab_index + 1) * slab), add};
  }

  // Adds a chunk of dU of the other shares, `u_share` elements apart, to the same chunk of the
  // first share.
  void sum_shares(T* u, int64_t u_share, int64_t shares, int64_t chunk) const {
    const int64_t count = min64(CHUNK, slab - chunk * CHUNK) * panel;
    for (int64_t share = 1; share < shares; ++share)
      for (int64_t xi = 0; xi < POINT_COUNT; ++xi) {
        T* sum = u + xi * u_point + chunk * CHUNK * panel;
        k.add(count, sum + share * u_share, sum);
      }
  }

  // Transforms a chunk of a slab of panel `index`. Returns whether the gradients are valid.
  bool finish(const PanelSums<T>& sums, P* grad_w, int64_t group, int64_t index, int64_t chunk,
              T* scratch) const {
    bool stands = true;
    const int64_t end = min64(c.M, (index + 1) * panel), channel = sums.first + chunk * CHUNK;
    for (int64_t m = index * panel; m < end; m += k.lanes) {
      WinogradTiles<T> tiles{};
      tiles.count = min64(CHUNK, sums.end - channel);
      tiles.points_in = sums.u + chunk * CHUNK * panel + m % panel;
      tiles.point = u_point;
      tiles.point_tile = panel;
      tiles.pixels_out = scratch;
      tiles.pixel_row = c.K * k.lanes;
      tiles.pixel_tile = c.K * c.K * k.lanes;
      P* to = grad_w + group * c.w_group + m * c.w.n + channel * c.w.c;
      const int64_t side = min64(k.lanes, end - m);
      fetch_filters<true>(c, to, side, tiles.count);
      stands &= transforms.filter_gradient(tiles);
      scatter_filters(k, c, scratch, side, tiles.count, to);
    }
    return stands;
  }
};

}  // namespace fastconv::cpu
