// Winograd's backward_weight with lanes = channels, for every layout, filter and map: a form of
// weight.cpp. Layer: cpu/winograd.
#pragma once

#include "weight_filters.h"

namespace fastconv::cpu {

// V[xi][c / PART][t][c % PART]    dM[xi][m / PANEL][t][m % PANEL]
template <class P>
struct WeightAcrossChannels {
  using T = SumOf<P>;                          // of points; pixels and filters are stored as P
  static constexpr int64_t STRIP_TILES = 448;  // more tiles make longer sums and save no time
  static constexpr int64_t SUM_TILES = 64;     // 8 KiB of a panel of dM
  static constexpr int64_t SLAB = WINOGRAD_PART;
  static constexpr int64_t LINE = CACHE_LINE / int64_t(sizeof(T));

  const WinogradConv& c;
  const RowKernels<P>& k;
  const WinogradTransforms<T>& transforms;
  const ProductKernels<T>& products;
  int64_t lanes, panel, panels;
  int64_t parts;  // parts of the channels c
  TileGrid grid;
  int64_t v_part, v_point, m_point, m_panel;
  bool stream;  // non-temporal stores of V and dM

  explicit WeightAcrossChannels(const WinogradConv& conv)
      : c(conv),
        k(row_kernels<P>(isa_for_channels(conv.M, sizeof(T)))),
        transforms(winograd_kernels<T>(isa_for_channels(conv.M, sizeof(T))).transforms(conv.K)),
        products(product_kernels<T>(isa_for_channels(conv.M, sizeof(T)))),
        lanes(k.lanes),
        panel(panel_channels<T>(conv, lanes)),
        panels(ceil_div(conv.M, panel)),
        parts(ceil_div(conv.C, WINOGRAD_PART)),
        grid(conv, small_filters<T>(conv)
                       ? SUM_TILES
                       : clamp64(strip_bytes<T>(conv) / (POINT_COUNT * int64_t(sizeof(T)) *
                                                         (parts * WINOGRAD_PART + panels * panel)),
                                 1, STRIP_TILES)) {
    // One more line than needed spreads the 36 points of a tile over cache sets.
    v_part = grid.block_tiles() * WINOGRAD_PART;
    v_point = parts * v_part + LINE;
    m_panel = grid.block_tiles() * panel + LINE;
    m_point = panels * m_panel;
    stream = streams(POINT_COUNT * (v_point + m_point) * int64_t(sizeof(T)));
  }
  int64_t strips() const { return grid.blocks(); }
  int64_t v_count() const { return POINT_COUNT * v_point; }
  int64_t m_count() const { return POINT_COUNT * m_point; }
  bool non_temporal() const { return stream; }
  int64_t bias_parts() const { return grid.block_rows; }
  int64_t scratch_count() const {
    const int64_t width = grid.block_columns * grid.out + WINOGRAD_POINTS - grid.out;
    return WINOGRAD_POINTS * width * lanes;
  }

  // A job is a tile row of grad_y or of x.
  int64_t jobs(int64_t strip) const { return 2 * grid.block(strip).rows; }
  WinogradStage transform(const BackwardWeightBuffers<P>& io, int64_t strip, int64_t group,
                          int64_t job, T* v, T* m, T* bias, T* scratch) const {
    const TileBlock block = grid.block(strip);
    if (job % 2 == 0) {
      transform_gradient(io.grad_y, block, group, job / 2, m,
                         io.grad_bias ? bias + job / 2 * panels * panel : nullptr, scratch);
      return OUTPUT_TRANSFORM;
    }
    for (int64_t channel = 0; channel < c.C; channel += lanes)
      input_to_points(*this, io.x, block, group, job / 2, channel, v, scratch);
    return INPUT_TRANSFORM;
  }

  // dU[xi] (+)= V[xi]^T dM[xi] for one panel; sums.first is a multiple of PART.
  void sum_point(const T* v, const T* m, int64_t strip, int64_t xi, int64_t index,
                 const PanelSums<T>& sums) const {
    const int64_t channels = min64(panel, c.M - index * panel), tiles = grid.block(strip).tiles();
    v += xi * v_point + sums.first / WINOGRAD_PART * v_part;
    const int64_t rows = sums.end - sums.first, v_parts = ceil_div(rows, WINOGRAD_PART);
    for (int64_t t = 0; t < tiles; t += SUM_TILES)
      for (int64_t part = 0; part < v_parts; ++part) {
        PanelProduct<T> product{};
        product.K = min64(SUM_TILES, tiles - t);
        product.a = v + part * v_part + t * WINOGRAD_PART;
        product.b = m + xi * m_point + index * m_panel + t * panel;
        product.b_row = panel;
        product.c = sums.u + xi * sums.u_point + part * WINOGRAD_PART * panel;
        product.c_row = panel;
        product.add = sums.add || t > 0;
        product.next_a = part + 1 < v_parts      ? product.a + v_part
                         : t + SUM_TILES < tiles ? v + (t + SUM_TILES) * WINOGRAD_PART
                                                 : v;
        product.next_b = product.b;
        multiply_panel<T, true>(products, ceil_div(channels, lanes),
                                min64(WINOGRAD_PART, rows - part * WINOGRAD_PART), product);
      }
  }

 private:
  // Transforms tile row i of a block of grad_y to dM, and sums it for grad_bias.
  void transform_gradient(const P* grad_y, const TileBlock& block, int64_t group, int64_t i, T* m,
                          T* bias, T* scratch) const {
    const RowPlace at = place(grid, block, i);
    for (int64_t channel = 0; channel < c.M; channel += lanes) {
      WinogradTiles<T> tiles{};
      tiles.count = block.columns;
      tiles.points_out =
          m + channel / panel * m_panel + i * block.columns * panel + channel % panel;
      tiles.point = m_point;
      tiles.point_tile = panel;
      tiles.stream = stream;
      gradient_to_points(c, k, transforms, grad_y, at, group, channel, tiles,
                         bias ? bias + channel : nullptr, scratch);
    }
  }
};

}  // namespace fastconv::cpu
