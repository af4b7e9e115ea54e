// The end of Winograd's backward_weight: dU of a panel, points to taps, to grad_w. Layer: cpu, for
// winograd_weight.cpp.
#pragma once

#include "winograd_tiles.h"

namespace fastconv::cpu {

template <class T>
struct FilterScatter {
  static constexpr int64_t CHUNK = 16;  // channels c at a time

  const WinogradConv& c;
  const Kernels<T>& k;
  const WinogradKernels<T>& transforms;
  int64_t lanes, panel, u_point;

  int64_t chunks() const { return ceil_div(c.C, CHUNK); }
  // u: [xi][c][panel] of one panel; `scratch`: CHUNK * K * K * lanes.
  void finish(const T* u, T* grad_w, int64_t group, int64_t index, int64_t chunk,
              T* scratch) const {
    const int64_t end = min64(c.M, (index + 1) * panel), channel = chunk * CHUNK;
    for (int64_t m = index * panel; m < end; m += lanes) {
      WinogradTiles<T> tiles{};
      tiles.count = min64(CHUNK, c.C - channel);
      tiles.points_in = u + channel * panel + m % panel;
      tiles.point = u_point;
      tiles.point_tile = panel;
      tiles.pixels_out = scratch;
      tiles.pixel_row = c.K * lanes;
      tiles.pixel_tile = c.K * c.K * lanes;
      transforms.filter_gradient(tiles);
      scatter_filters(k, c, scratch, min64(lanes, end - m), tiles.count,
                      grad_w + group * c.w_group + m * c.w.n + channel * c.w.c);
    }
  }
};

}  // namespace fastconv::cpu
