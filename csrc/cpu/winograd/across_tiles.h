// Winograd with lanes = tiles, for NCHW and maps with many tiles: a form of winograd.cpp.
// Layer: cpu/winograd.
#pragma once

#include <utility>

#include "tiles.h"

namespace fastconv::cpu {

// A range of tiles, divided by rows of the map, and the places of their pixels.
struct TileSpan {
  static constexpr int64_t MOST_TILES = 256;

  // The pixels inside the image of neighbouring tiles: `rows` x `columns` pixels at `image`, which
  // are copied to or from `scratch`.
  struct Copy {
    int64_t image;
    int32_t scratch, rows, columns;
  };
  int64_t tiles = 0;
  int pieces = 0;
  Copy copies[MOST_TILES];
  int32_t offset[MOST_TILES];  // in scratch; lanes without a tile read zeros after all others
};

//   V[xi][panel][c][t % PANEL]    U[m / unit][c / PART][xi][m % unit][c % PART]
//   M[xi][panel][m][t % PANEL]    a panel is 3 vectors of tiles
//
// Tiles are numbered row by row and image by image, so that vectors are full for every map. Images
// are read and written in long pieces of rows of one channel, which is the fastest use of memory.
// The pieces are copied with the zeros around them to scratch, where a vector of pixels holds whole
// tiles. Four such vectors (two for 5x5) become columns in registers.
template <class P>
struct AcrossTiles {
  using T = SumOf<P>;                         // of points; pixels and filters are stored as P
  static constexpr int64_t BLOCK_TILES = 48;  // a panel of 16 lanes, two of 8
  static constexpr int64_t UNIT = 32, FILTER_CHUNK = 8;
  static constexpr int64_t LARGE_IMAGES = (int64_t(48) << 20) / int64_t(sizeof(P));  // elements

  const WinogradConv& c;
  const RowKernels<P>& k;
  const WinogradTransforms<T>& transforms;
  const ProductKernels<T>& products;
  const WinogradRowKernels<T>& rows;
  int64_t out;  // outputs per tile and axis
  int64_t lanes, unit, units;
  int64_t tile_rows, tile_columns, tiles;  // of an image; tiles of all images
  int64_t panel, block;                    // tiles
  int64_t pitch;                           // elements of a row of scratch
  int64_t v_panel, v_point, v_block;
  bool stream = false;  // non-temporal stores of V
  bool stream_output;   // non-temporal stores of y, if the caches do not hold it beside x
  int64_t parts, u_point, u_part, u_unit;

  AcrossTiles(const WinogradConv& conv, int threads)
      : AcrossTiles(conv, threads,
                    tiles_of_block<T>(conv, row_kernels<P>(isa()).lanes, BLOCK_TILES),
                    ProductKernels<T>::TILE_VECTORS * row_kernels<P>(isa()).lanes) {}
  AcrossTiles(const WinogradConv& conv, int threads, int64_t block_tiles, int64_t panel_tiles)
      : c(conv),
        k(row_kernels<P>(isa())),
        transforms(winograd_kernels<T>(isa()).transforms(conv.K)),
        products(product_kernels<T>(isa())),
        rows(*piece_kernels(conv)),
        out(outputs_of_tile(conv.K)),
        lanes(k.lanes),
        unit(min64(UNIT, conv.M)),
        stream_output(k.stream_out &&
                      c.N * c.groups * (c.C * c.IH * c.IW + c.M * c.OH * c.OW) >= LARGE_IMAGES) {
    constexpr int64_t LINE = CACHE_LINE / int64_t(sizeof(T));
    units = ceil_div(c.M, unit);
    tile_rows = ceil_div(c.OH, out);
    tile_columns = ceil_div(c.OW, out);
    tiles = c.N * tile_rows * tile_columns;
    block = min64(block_tiles, round_up(tiles, lanes));
    if (units < threads || !units_are_jobs(blocks(), units)) {
      // Makes as many blocks for every thread, where they are few.
      const int64_t vectors = ceil_div(tiles, lanes);
      const int64_t count = even_cut(blocks(), vectors, c.groups, threads);
      if (count > blocks()) block = ceil_div(vectors, count) * lanes;
    }
    panel = min64(panel_tiles, block_tiles);
    v_panel = round_up(c.C * panel, LINE);
    v_point = ceil_div(block, panel) * v_panel + LINE;
    v_block = POINT_COUNT * v_point;
    pitch = round_up(min64(tile_columns, block) * out + 4, LINE);
    parts = ceil_div(c.C, WINOGRAD_PART);
    u_point = unit * WINOGRAD_PART + LINE;
    u_part = POINT_COUNT * u_point;
    u_unit = parts * u_part;
  }
  // Returns the kernels of the longest piece that divides the tiles of a row, or null.
  static const WinogradRowKernels<T>* piece_kernels(const WinogradConv& c) {
    for (const auto& row : winograd_kernels<T>(isa()).transforms(c.K).rows)
      if (row.piece_tiles != 0 && ceil_div(c.OW, outputs_of_tile(c.K)) % row.piece_tiles == 0)
        return &row;
    return nullptr;
  }
  // Returns whether this form supports a convolution and is profitable: there are at least two
  // vectors of tiles, and seven eighths of their lanes are filled.
  static bool supports(const WinogradConv& c) {
    const int64_t lanes = row_kernels<P>(isa()).lanes, out = outputs_of_tile(c.K);
    const int64_t tile_rows = ceil_div(c.OH, out), tile_columns = ceil_div(c.OW, out);
    if (c.x.w != 1 || c.y.w != 1 || tile_columns == 1 || !piece_kernels(c) ||
        product_below(2 * lanes, c.N, tile_rows, tile_columns))
      return false;
    const int64_t tiles = c.N * tile_rows * tile_columns;
    return 8 * tiles >= 7 * round_up(tiles, lanes);
  }
  int64_t blocks() const { return ceil_div(tiles, block); }
  int64_t m_point(int64_t count) const {
    return ceil_div(block, panel) * count * unit * panel + CACHE_LINE / int64_t(sizeof(T));
  }
  int64_t m_count(int64_t count) const { return POINT_COUNT * m_point(count); }
  int64_t pixel_scratch() const {
    // The rows of tiles that a block may touch if none are neighbours, one row for the lanes
    // without a tile, and the pixels that the last tile reads beyond its own.
    const int64_t map_rows = min64(block, block / tile_columns + 2) + 1;
    return map_rows * WINOGRAD_POINTS * pitch + lanes;
  }
  int64_t scratch_count() const { return max64(pixel_scratch(), FILTER_CHUNK * c.K * c.K * lanes); }

  TileSpan span(int64_t index, bool input) const {
    TileSpan s;
    const int64_t begin = index * block, end = min64(tiles, begin + block);
    s.tiles = end - begin;
    const int64_t halo = input ? WINOGRAD_POINTS - out : 0;
    const int64_t H = input ? c.IH : c.OH, W = input ? c.IW : c.OW;
    const Strides& strides = input ? c.x : c.y;
    int64_t at = 0;
    for (int64_t t = begin, next; t < end; t = next) {
      const int64_t row = t / tile_columns, column = t % tile_columns;
      const int64_t columns = min64(end - t, tile_columns - column);
      // Neighbouring whole rows of one image share pixels.
      const int64_t span_rows =
          columns < tile_columns ? 1 : min64((end - t) / tile_columns, tile_rows - row % tile_rows);
      next = t + span_rows * columns;
      const int64_t h = row % tile_rows * out - (input ? c.top : 0);
      const int64_t w = column * out - (input ? c.left : 0);
      const int64_t height = span_rows * out + halo, width = columns * out + halo;
      const int64_t r = clamp64(-h, 0, height), q = clamp64(-w, 0, width);
      s.copies[s.pieces++] = {row / tile_rows * strides.n + (h + r) * strides.h + w + q,
                              static_cast<int32_t>(at + r * pitch + q),
                              static_cast<int32_t>(clamp64(H - h, r, height) - r),
                              static_cast<int32_t>(clamp64(W - w, q, width) - q)};
      for (int64_t i = t; i < next; ++i)
        s.offset[i - begin] =
            static_cast<int32_t>(at + ((i - t) / columns * pitch + (i - t) % columns) * out);
      at += height * pitch;
    }
    for (int64_t i = s.tiles; i < round_up(s.tiles, lanes); ++i)
      s.offset[i] = static_cast<int32_t>(at);
    return s;
  }

  void transform_input(const P* x, int64_t index, int64_t group, T* v, T* scratch) const {
    transform_input(x, index, group, 0, c.C, v, scratch);
  }
  void transform_input(const P* x, int64_t index, int64_t group, int64_t first_channel,
                       int64_t end_channel, T* v, T* scratch) const {
    const TileSpan s = span(index, true);
    std::fill(scratch, scratch + pixel_scratch(), T(0));
    for (int64_t channel = first_channel; channel < end_channel; ++channel) {
      const P* image = x + (group * c.C + channel) * c.x.c;
      for (int i = 0; i < s.pieces; ++i)
        k.copy_in(s.copies[i].rows, s.copies[i].columns, image + s.copies[i].image, c.x.h,
                  scratch + s.copies[i].scratch, pitch, channel + 1 < c.C ? c.x.c : 0);
      for (int64_t first = 0; first < s.tiles; first += panel) {
        WinogradRows<T> vectors{};
        vectors.count = ceil_div(min64(panel, s.tiles - first), lanes);
        vectors.offset = s.offset + first;
        vectors.pixels_in = scratch;
        vectors.pixel_row = pitch;
        vectors.points_out = v + first / panel * v_panel + channel * panel;
        vectors.point = v_point;
        vectors.stream = stream;
        rows.input(vectors);
      }
    }
  }

  void transform_filters(const P* w, int64_t group, int64_t index, int64_t part, T* u,
                         T* scratch) const {
    WinogradConv swapped = c;  // lanes are channels c
    std::swap(swapped.w.n, swapped.w.c);
    const int64_t begin = index * unit, end = min64(c.M, begin + unit);
    const int64_t first = part * WINOGRAD_PART, channels = min64(c.C, first + WINOGRAD_PART);
    for (int64_t m = begin; m < end; m += FILTER_CHUNK)
      for (int64_t channel = first; channel < channels; channel += lanes) {
        WinogradTiles<T> tiles{};
        tiles.count = min64(FILTER_CHUNK, end - m);
        tiles.points_out = u + (m - begin) * WINOGRAD_PART + channel - first;
        tiles.point = u_point;
        tiles.point_tile = WINOGRAD_PART;
        const P* first_filter = w + group * c.w_group + m * c.w.n + channel * c.w.c;
        const int64_t side = min64(lanes, channels - channel);
        // The next filters are those of the following m, of the next part, or of the next unit.
        int64_t next_m = m + FILTER_CHUNK, next_channel = channel;
        if (next_m >= end) {
          next_m = part + 1 < parts ? begin : end;
          next_channel += part + 1 < parts ? WINOGRAD_PART : -first;
        }
        fetch_filters(swapped, w + group * c.w_group + next_m * c.w.n + next_channel * c.w.c,
                      clamp64(c.C - next_channel, 0, lanes),
                      clamp64(c.M - next_m, 0, FILTER_CHUNK));
        filters_to_points(k, transforms, swapped, first_filter, side, tiles, scratch);
      }
  }

  void multiply(int64_t index, const T* v, const T* u, int64_t first, int64_t count,
                int64_t first_part, int64_t end_part, T* m) const {
    const int64_t there = min64(block, tiles - index * block), panels = ceil_div(there, panel);
    for (int64_t xi = 0; xi < POINT_COUNT; ++xi)
      for (int64_t part = first_part; part < end_part; ++part)
        for (int64_t p = 0; p < panels; ++p)
          for (int64_t i = 0; i < count; ++i) {
            // The following product has the next unit, panel, part or point.
            const T* next_u = u + (part - first_part) * u_part + xi * u_point;
            const T* next_v = v + xi * v_point + part * WINOGRAD_PART * panel;
            PanelProduct<T> product{};
            product.K = min64(WINOGRAD_PART, c.C - part * WINOGRAD_PART);
            product.a = next_u + i * u_unit;
            product.b = next_v + p * v_panel;
            product.b_row = panel;
            product.c = m + xi * m_point(count) + (p * count + i) * unit * panel;
            product.c_row = panel;
            product.add = part > 0;
            if (i + 1 < count) {
              next_u = product.a + u_unit;
              next_v = product.b;
            } else if (p + 1 < panels) {
              next_v = product.b + v_panel;
            } else if (part + 1 < end_part) {
              next_u += u_part;
              next_v += WINOGRAD_PART * panel;
            } else {
              next_u = u + (xi + 1) % POINT_COUNT * u_point;
              next_v = v + (xi + 1) % POINT_COUNT * v_point + first_part * WINOGRAD_PART * panel;
            }
            product.next_a = next_u;
            product.next_b = next_v;
            multiply_panel<T, false>(products, ceil_div(min64(panel, there - p * panel), lanes),
                                     min64(unit, c.M - (first + i) * unit), product);
          }
  }

  bool transform_output(const WinogradBuffers<P>& io, int64_t index, int64_t group, int64_t first,
                        int64_t count, const T* m, T* scratch) const {
    bool stands = true;
    const TileSpan s = span(index, false);
    const int64_t end = min64(c.M, (first + count) * unit);
    const Finishing<P> finishing(io.epilogue, io.y);
    for (int64_t channel = first * unit; channel < end; ++channel) {
      for (int64_t begin = 0; begin < s.tiles; begin += panel) {
        WinogradRows<T> vectors{};
        vectors.count = ceil_div(min64(panel, s.tiles - begin), lanes);
        vectors.offset = s.offset + begin;
        vectors.points_in = m + (begin / panel * count * unit + channel - first * unit) * panel;
        vectors.point = m_point(count);
        vectors.pixels_out = scratch;
        vectors.pixel_row = pitch;
        vectors.bias = io.padded_bias ? io.padded_bias[group * units * unit + channel] : T(0);
        stands &= rows.output(vectors);
      }
      P* image = io.y + (group * c.M + channel) * c.y.c;
      for (int i = 0; i < s.pieces; ++i)
        if (stream_output && finishing.none())
          k.stream_out(s.copies[i].rows, s.copies[i].columns, scratch + s.copies[i].scratch, pitch,
                       image + s.copies[i].image, c.y.h);
        else
          finishing.copy_out(k, s.copies[i].rows, s.copies[i].columns,
                             scratch + s.copies[i].scratch, pitch, image + s.copies[i].image, c.y.h,
                             channel + 1 < end ? c.y.c : 0);
    }
    if (stream_output) k.wait_for_streams();
    return stands;
  }
};

}  // namespace fastconv::cpu
