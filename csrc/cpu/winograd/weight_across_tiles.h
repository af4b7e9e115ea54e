// Winograd's backward_weight with lanes = tiles in V (across_tiles.h): a form of weight.cpp.
// Layer: cpu/winograd.
#pragma once

#include "across_tiles.h"
#include "weight_filters.h"

namespace fastconv::cpu {

// V[xi][t / PART][c][t % PART]    dM[xi][m / PANEL][t][m % PANEL]
// dM has its tiles in the order of V's lanes. dM of lanes without a tile is 0.
template <class P>
struct WeightAcrossTiles {
  using T = SumOf<P>;  // of points; pixels and filters are stored as P
  static constexpr int64_t STRIP_TILES = TileSpan::MOST_TILES;
  static constexpr int64_t CHANNELS = 16;  // channels of x in one job
  static constexpr int64_t SLAB = 96;

  const WinogradConv& c;
  const RowKernels<P>& k;
  const WinogradTransforms<T>& transforms;
  const ProductKernels<T>& products;
  int64_t lanes, panel, panels;
  AcrossTiles<P> input;
  int64_t m_point, m_panel;

  explicit WeightAcrossTiles(const WinogradConv& conv)
      : c(conv),
        k(row_kernels<P>(isa())),
        transforms(winograd_kernels<T>(isa()).transforms(conv.K)),
        products(product_kernels<T>(isa())),
        lanes(k.lanes),
        panel(panel_vectors(conv, lanes) * lanes),
        panels(ceil_div(conv.M, panel)),
        input(conv, 1, strip_tiles(conv, lanes), WINOGRAD_PART) {
    constexpr int64_t LINE = CACHE_LINE / int64_t(sizeof(T));
    m_panel = input.block * panel + LINE;
    m_point = panels * m_panel;
    input.stream = streams(POINT_COUNT * (input.v_point + m_point) * int64_t(sizeof(T)));
  }
  // Returns whether this form supports a convolution and is profitable: there are PART tiles or
  // more.
  static bool supports(const WinogradConv& c) {
    constexpr int64_t MANY_CHANNELS = 2048;  // PART tiles of more channels would exceed a strip
    const int64_t out = outputs_of_tile(c.K);
    return AcrossTiles<P>::supports(c) && max64(c.C, c.M) <= MANY_CHANNELS &&
           !product_below(WINOGRAD_PART, c.N, ceil_div(c.OH, out), ceil_div(c.OW, out));
  }
  int64_t strips() const { return input.blocks(); }
  int64_t v_count() const { return input.v_block; }
  int64_t m_count() const { return POINT_COUNT * m_point; }
  bool non_temporal() const { return input.stream; }
  int64_t bias_parts() const { return 1; }
  int64_t scratch_count() const {
    return max64(input.pixel_scratch(), input.out * input.out * input.block * lanes);
  }

  // A job is a panel of grad_y or some channels of x.
  int64_t jobs(int64_t) const { return panels + ceil_div(c.C, CHANNELS); }
  WinogradStage transform(const BackwardWeightBuffers<P>& io, int64_t strip, int64_t group,
                          int64_t job, T* v, T* m, T* bias, T* scratch) const {
    if (job < panels) {
      transform_gradient(io.grad_y, strip, group, job, m, io.grad_bias ? bias : nullptr, scratch);
      return OUTPUT_TRANSFORM;
    }
    const int64_t first = (job - panels) * CHANNELS;
    input.transform_input(io.x, strip, group, first, min64(c.C, first + CHANNELS), v, scratch);
    return INPUT_TRANSFORM;
  }

  // dU[xi] (+)= V[xi]^T dM[xi] for one panel.
  void sum_point(const T* v, const T* m, int64_t strip, int64_t xi, int64_t index,
                 const PanelSums<T>& sums) const {
    const int64_t channels = min64(panel, c.M - index * panel);
    const int64_t tiles = round_up(min64(input.block, input.tiles - strip * input.block), lanes);
    v += xi * input.v_point + sums.first * WINOGRAD_PART;
    m += xi * m_point + index * m_panel;
    for (int64_t t = 0; t < tiles; t += WINOGRAD_PART) {
      const bool last = t + WINOGRAD_PART >= tiles;
      PanelProduct<T> product{};
      product.K = min64(WINOGRAD_PART, tiles - t);
      product.a = v + t / WINOGRAD_PART * input.v_panel;
      product.b = m + t * panel;
      product.b_row = panel;
      product.c = sums.u + xi * sums.u_point;
      product.c_row = panel;
      product.add = sums.add || t > 0;
      product.next_a = last ? v : product.a + input.v_panel;
      product.next_b = last ? m + m_panel : product.b + WINOGRAD_PART * panel;
      multiply_panel<T, false>(products, ceil_div(channels, lanes), sums.end - sums.first, product);
    }
  }

 private:
  static int64_t strip_tiles(const WinogradConv& c, int64_t lanes) {
    if (small_filters<T>(c)) return WINOGRAD_PART;
    const int64_t fit = strip_bytes<T>(c) / (POINT_COUNT * (c.C + c.M) * int64_t(sizeof(T)));
    return max64(WINOGRAD_PART, min64(STRIP_TILES, fit) / lanes * lanes);
  }
  // Four vectors are two panels of two rather than one of three and one of one.
  static int64_t panel_vectors(const WinogradConv& c, int64_t lanes) {
    const int64_t vectors = ceil_div(c.M, lanes);
    return min64(vectors, vectors == 4 ? 2 : 3);
  }
  // Returns the place of tile i of a strip in the order of the lanes (table.h).
  int32_t position(int64_t i) const {
    if (input.out == 2) return static_cast<int32_t>(i);
    const int64_t in_vector = i % lanes, quarter = lanes / 4;
    return static_cast<int32_t>(i - in_vector + in_vector % quarter * 4 + in_vector / quarter);
  }

  // Transforms a panel of grad_y to dM, and adds it to bias.
  void transform_gradient(const P* grad_y, int64_t strip, int64_t group, int64_t index, T* m,
                          T* bias, T* scratch) const {
    const int64_t begin = strip * input.block, end = min64(input.tiles, begin + input.block);
    const int64_t first = index * panel, past = min64(c.M, first + panel);
    int32_t positions[TileSpan::MOST_TILES];
    for (int64_t i = 0; i < round_up(end - begin, lanes); ++i) positions[i] = position(i);
    m += index * m_panel;
    for (int64_t t = begin, next; t < end; t = next) {
      const int64_t row = t / input.tile_columns, column = t % input.tile_columns;
      next = min64(end, t - column + input.tile_columns);
      const RowPlace at{row / input.tile_rows, row % input.tile_rows * input.out,
                        column * input.out};
      for (int64_t channel = first; channel < past; channel += lanes) {
        WinogradTiles<T> tiles{};
        tiles.count = next - t;
        tiles.points_out = m + channel - first;
        tiles.point = m_point;
        tiles.point_tile = panel;
        tiles.stream = input.stream;
        tiles.position = positions + (t - begin);
        gradient_to_points(c, k, transforms, grad_y, at, group, channel, tiles,
                           bias ? bias + channel : nullptr, scratch);
      }
    }
    for (int64_t i = end - begin; i < round_up(end - begin, lanes); ++i)
      for (int64_t xi = 0; xi < POINT_COUNT; ++xi) {
        T* nothing = m + xi * m_point + positions[i] * panel;
        std::fill(nothing, nothing + panel, T(0));
      }
  }
};

}  // namespace fastconv::cpu
