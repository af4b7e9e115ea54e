// Winograd with lanes = channels, for every layout, filter and map: a form of winograd.cpp.
// Layer: cpu/winograd.
#pragma once

#include "tiles.h"

namespace fastconv::cpu {

//   V[xi][c / PART][t][c % PART]    U[m / unit][c / PART][xi][c % PART][m % unit]
//   M[m / unit][xi][t][m % unit]
// Pixels pass through scratch [row][column][lane]: NCHW is transposed, NHWC is copied.
template <class P>
struct AcrossChannels {
  using T = SumOf<P>;                         // of points; pixels and filters are stored as P
  static constexpr int64_t BLOCK_TILES = 42;  // 3 register tiles; measured: docs/performance-log.md
  static constexpr int64_t FILTER_CHUNK = 16;  // channels c whose filters are gathered at a time

  const WinogradConv& c;
  const RowKernels<P>& k;
  const WinogradTransforms<T>& transforms;
  const ProductKernels<T>& products;
  TileGrid grid;
  int64_t lanes, unit, units;
  int64_t v_part, v_point, v_block;  // elements between parts, points, blocks
  bool stream = false;               // non-temporal stores of V
  int64_t parts, u_point, u_part, u_unit, m_unit;

  AcrossChannels(const WinogradConv& conv, int threads)
      : c(conv),
        k(row_kernels<P>(isa_for_channels(conv.M, sizeof(T)))),
        transforms(winograd_kernels<T>(isa_for_channels(conv.M, sizeof(T))).transforms(conv.K)),
        products(product_kernels<T>(isa_for_channels(conv.M, sizeof(T)))),
        grid(conv, tiles_of_block<T>(conv, 1, BLOCK_TILES)),
        lanes(k.lanes),
        unit(panel_channels<T>(conv, lanes)),
        units(ceil_div(conv.M, unit)) {
    constexpr int64_t LINE = CACHE_LINE / int64_t(sizeof(T));
    grid.cut_for(threads, c.groups, units);
    // One more line than needed spreads the 36 points of a tile over cache sets.
    v_part = grid.block_tiles() * WINOGRAD_PART;
    parts = ceil_div(c.C, WINOGRAD_PART);
    v_point = parts * v_part + LINE;
    v_block = POINT_COUNT * v_point;
    u_point = WINOGRAD_PART * unit + LINE;
    u_part = POINT_COUNT * u_point;
    u_unit = parts * u_part;
    m_unit = grid.block_tiles() * unit + LINE;
  }
  int64_t blocks() const { return grid.blocks(); }
  int64_t m_count(int64_t count) const { return POINT_COUNT * count * m_unit; }
  int64_t scratch_count() const {
    const int64_t width = grid.block_columns * grid.out + WINOGRAD_POINTS - grid.out;
    return max64(WINOGRAD_POINTS * width * lanes, FILTER_CHUNK * c.K * c.K * lanes);
  }

  void transform_input(const P* x, int64_t index, int64_t group, T* v, T* scratch) const {
    const TileBlock block = grid.block(index);
    for (int64_t channel = 0; channel < c.C; channel += lanes)
      for (int64_t i = 0; i < block.rows; ++i)
        input_to_points(*this, x, block, group, i, channel, v, scratch);
  }

  void transform_filters(const P* w, int64_t group, int64_t index, int64_t part, T* u,
                         T* scratch) const {
    const int64_t end = min64(c.M, (index + 1) * unit);
    const int64_t begin = part * WINOGRAD_PART, channels = min64(c.C, begin + WINOGRAD_PART);
    for (int64_t m = index * unit; m < end; m += lanes)
      for (int64_t channel = begin; channel < channels; channel += FILTER_CHUNK) {
        WinogradTiles<T> tiles{};
        tiles.count = min64(FILTER_CHUNK, channels - channel);
        tiles.points_out = u + (channel - begin) * unit + m % unit;
        tiles.point = u_point;
        tiles.point_tile = unit;
        const P* first = w + group * c.w_group + m * c.w.n + channel * c.w.c;
        const int64_t side = min64(lanes, end - m);
        fetch_filters(c, first + FILTER_CHUNK * c.w.c, side,
                      clamp64(c.C - channel - FILTER_CHUNK, 0, FILTER_CHUNK));
        filters_to_points(k, transforms, c, first, side, tiles, scratch);
      }
  }

  void multiply(int64_t index, const T* v, const T* u, int64_t first, int64_t count,
                int64_t first_part, int64_t end_part, T* m) const {
    const int64_t tiles = grid.block(index).tiles();
    for (int64_t xi = 0; xi < POINT_COUNT; ++xi)
      for (int64_t part = first_part; part < end_part; ++part)
        for (int64_t i = 0; i < count; ++i) {
          const int64_t channels = min64(unit, c.M - (first + i) * unit);
          PanelProduct<T> product{};
          product.K = min64(WINOGRAD_PART, c.C - part * WINOGRAD_PART);
          product.a = v + xi * v_point + part * v_part;
          product.b = u + i * u_unit + (part - first_part) * u_part + xi * u_point;
          product.b_row = unit;
          product.c = m + (xi * count + i) * m_unit;
          product.c_row = unit;
          product.add = part > 0;
          product.next_a = i + 1 < count ? product.a
                           : part + 1 < end_part
                               ? product.a + v_part
                               : v + (xi + 1) % POINT_COUNT * v_point + first_part * v_part;
          product.next_b = product.b;
          multiply_panel<T, false>(products, ceil_div(channels, lanes), tiles, product);
        }
  }

  bool transform_output(const WinogradBuffers<P>& io, int64_t index, int64_t group, int64_t first,
                        int64_t count, const T* m, T* scratch) const {
    bool stands = true;
    const TileBlock block = grid.block(index);
    const int64_t end = min64(c.M, (first + count) * unit), width = block.columns * grid.out;
    const Finishing<P> finishing(io.epilogue, io.y);
    for (int64_t channel = first * unit; channel < end; channel += lanes)
      for (int64_t i = 0; i < block.rows; ++i) {
        const RowPlace at = place(grid, block, i);
        const int64_t in_chunk = channel - first * unit;
        WinogradTiles<T> tiles{};
        tiles.count = block.columns;
        tiles.points_in = m + in_chunk / unit * m_unit + i * block.columns * unit + in_chunk % unit;
        tiles.point = count * m_unit;
        tiles.point_tile = unit;
        tiles.pixels_out = scratch;
        tiles.pixel_row = width * lanes;
        tiles.pixel_tile = grid.out * lanes;
        tiles.bias = io.padded_bias ? io.padded_bias + group * units * unit + channel : nullptr;
        stands &= transforms.output(tiles);
        scatter_pixels(
            k, scratch, width, min64(grid.out, c.OH - at.oh), min64(width, c.OW - at.ow),
            min64(lanes, c.M - channel), c.y, finishing,
            io.y + at.n * c.y.n + (group * c.M + channel) * c.y.c + at.oh * c.y.h + at.ow * c.y.w);
      }
    return stands;
  }
};

}  // namespace fastconv::cpu
