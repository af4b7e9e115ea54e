// Divides an image into blocks of tiles, and copies pixels and filters between their tensors and
// scratch [row][column][lane], whose lanes are channels. Layer: cpu/winograd, for drivers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../common/finish.h"
#include "../common/parallel.h"
#include "../gemm/product.h"
#include "../simd/table.h"
#include "table.h"
#include "winograd.h"

namespace fastconv::cpu {

constexpr int POINT_COUNT = WINOGRAD_POINTS * WINOGRAD_POINTS;

// Returns the channels of a panel, which are those of a register tile.
template <class T>
int64_t panel_channels(const WinogradConv& c, int64_t lanes) {
  return min64(ProductKernels<T>::PANEL_VECTORS * lanes, round_up(c.M, lanes));
}

// Returns the tiles of a block, a multiple of `lanes`: at most `most`, and fewer if there are very
// many channels.
template <class T>
int64_t tiles_of_block(const WinogradConv& c, int64_t lanes, int64_t most) {
  constexpr int64_t BLOCK_BYTES = int64_t(4) << 20;  // of V
  return max64(1, min64(most, BLOCK_BYTES / (POINT_COUNT * c.C * int64_t(sizeof(T)))) / lanes) *
         lanes;
}

// Whether units of output channels are better jobs than blocks of tiles, even if U is small.
constexpr bool units_are_jobs(int64_t blocks, int64_t units) {
  constexpr int64_t FEW_BLOCKS = 4;
  return blocks < FEW_BLOCKS && blocks <= units;
}

// A block has `rows` tile rows by `columns` tile columns. Tile rows are numbered through all
// images.
struct TileBlock {
  int64_t first_row, rows, first_column, columns;
  int64_t tiles() const { return rows * columns; }
};

struct TileGrid {
  int64_t out;               // outputs per tile and axis
  int64_t image_rows, rows;  // tile rows of an image, of all images
  int64_t columns;           // tiles per row
  int64_t block_rows, block_columns;

  TileGrid(const WinogradConv& c, int64_t block_tiles)
      : out(outputs_of_tile(c.K)),
        image_rows(ceil_div(c.OH, out)),
        rows(c.N * image_rows),
        columns(ceil_div(c.OW, out)) {
    // A long row is divided evenly among blocks. A block holds several short rows.
    block_columns = ceil_div(columns, ceil_div(columns, block_tiles));
    block_rows = clamp64(block_tiles / block_columns, 1, rows);
    block_rows = ceil_div(rows, ceil_div(rows, block_rows));
  }
  // Makes as many blocks for every thread, where blocks are few and the jobs.
  void cut_for(int threads, int64_t groups, int64_t units) {
    if (units >= threads && units_are_jobs(blocks(), units)) return;
    const int64_t of_row = blocks() / row_blocks();
    block_rows = ceil_div(rows, even_cut(row_blocks(), rows, of_row * groups, threads));
  }
  int64_t row_blocks() const { return ceil_div(rows, block_rows); }
  int64_t blocks() const { return row_blocks() * ceil_div(columns, block_columns); }
  int64_t block_tiles() const { return block_rows * block_columns; }
  TileBlock block(int64_t index) const {
    const int64_t row = index % row_blocks() * block_rows;
    const int64_t column = index / row_blocks() * block_columns;
    return {row, min64(block_rows, rows - row), column, min64(block_columns, columns - column)};
  }
};

// The start of a tile row of a block: image, output row, output column.
struct RowPlace {
  int64_t n, oh, ow;
};

inline RowPlace place(const TileGrid& grid, const TileBlock& block, int64_t i) {
  const int64_t row = block.first_row + i;
  return {row / grid.image_rows, row % grid.image_rows * grid.out, block.first_column * grid.out};
}

// A rectangle of an IH x IW image with at most `lanes` channels. It starts at pixel (ih, iw), which
// may lie outside the image.
template <class T>
struct Rectangle {
  const T* image;
  const Strides& strides;
  int64_t IH, IW, channels, ih, iw;
};

// Copies `rows` rows of `width` pixels into scratch. Pixels outside the image are 0.
template <class P, class T>
void gather_pixels(const RowKernels<P>& k, const Rectangle<P>& from, int64_t rows, int64_t width,
                   T* scratch) {
  const int64_t lanes = k.lanes, ih = from.ih, iw = from.iw;
  const int64_t begin = clamp64(-iw, 0, width), end = clamp64(from.IW - iw, begin, width);
  if (from.channels < lanes) std::fill(scratch, scratch + rows * width * lanes, T(0));
  for (int64_t r = 0; r < rows; ++r) {
    T* row = scratch + r * width * lanes;
    if (ih + r < 0 || ih + r >= from.IH || begin == end) {
      std::fill(row, row + width * lanes, T(0));
      continue;
    }
    std::fill(row, row + begin * lanes, T(0));
    std::fill(row + end * lanes, row + width * lanes, T(0));
    const Strides& xs = from.strides;
    const P* pixel = from.image + (ih + r) * xs.h + (iw + begin) * xs.w;
    if (xs.w == 1)
      k.transpose_in(from.channels, end - begin, pixel, xs.c, row + begin * lanes, lanes);
    else
      k.copy_in(end - begin, from.channels, pixel, xs.w, row + begin * lanes, lanes, 0);
  }
}

// Transforms a row of tiles of `side` x `side` pixels, `step` apart, to tiles.points_out. `tiles`
// has the count and the strides of the points.
template <class P, class T>
void pixels_to_points(const RowKernels<P>& k, void (*transform)(const WinogradTiles<T>&),
                      const Rectangle<P>& from, int64_t side, int64_t step, WinogradTiles<T> tiles,
                      T* scratch) {
  const int64_t width = tiles.count * step + side - step;
  gather_pixels(k, from, side, width, scratch);
  tiles.pixels_in = scratch;
  tiles.pixel_row = width * k.lanes;
  tiles.pixel_tile = step * k.lanes;
  transform(tiles);
}

// Transforms tile row i of a block, `lanes` channels of x from `channel` on, to V. Plan: of a
// driver.
template <class Form, class P, class T>
void input_to_points(const Form& p, const P* x, const TileBlock& block, int64_t group, int64_t i,
                     int64_t channel, T* v, T* scratch) {
  const WinogradConv& c = p.c;
  const RowPlace at = place(p.grid, block, i);
  const Rectangle<P> from{x + at.n * c.x.n + (group * c.C + channel) * c.x.c,
                          c.x,
                          c.IH,
                          c.IW,
                          min64(p.lanes, c.C - channel),
                          at.oh - c.top,
                          at.ow - c.left};
  WinogradTiles<T> tiles{};
  tiles.count = block.columns;
  tiles.points_out = v + channel / WINOGRAD_PART * p.v_part + i * block.columns * WINOGRAD_PART +
                     channel % WINOGRAD_PART;
  tiles.point = p.v_point;
  tiles.point_tile = WINOGRAD_PART;
  tiles.stream = p.stream;
  pixels_to_points(p.k, p.transforms.input, from, int64_t(WINOGRAD_POINTS), p.grid.out, tiles,
                   scratch);
}

// Copies `columns` pixels of each row of scratch [rows][width][lanes] to y, inside the image, finished.
template <class P, class T>
void scatter_pixels(const RowKernels<P>& k, const T* scratch, int64_t width, int64_t rows,
                    int64_t columns, int64_t channels, const Strides& ys,
                    const Finishing<P>& finishing, P* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* from = scratch + r * width * k.lanes;
    P* to = y + r * ys.h;
    if (ys.w == 1)
      finishing.transpose_out(k, columns, channels, from, k.lanes, to, ys.c);
    else
      finishing.copy_out(k, columns, channels, from, k.lanes, to, ys.w, 0);
  }
}

// Copies the filters of `m` output and `c` input channels to scratch [c][K * K][lanes].
template <class P, class T>
void gather_filters(const RowKernels<P>& k, const WinogradConv& conv, const P* w, int64_t m,
                    int64_t c, T* scratch) {
  const int64_t taps = conv.K * conv.K, lanes = k.lanes;
  const Strides& ws = conv.w;
  if (m < lanes) std::fill(scratch, scratch + c * taps * lanes, T(0));
  const int64_t first = conv.flip ? taps - 1 : 0, step = conv.flip ? -1 : 1;
  if (ws.w == 1 && ws.c == taps && !conv.flip)
    return k.transpose_in(m, c * taps, w, ws.n, scratch, lanes);
  if (ws.w == 1) {
    for (int64_t i = 0; i < c; ++i, w += ws.c, scratch += taps * lanes)
      k.transpose_in(m, taps, w, ws.n, scratch + first * lanes, step * lanes);
    return;
  }
  // Channels last: neighbours in memory are neighbours in c or in m.
  for (int64_t tap = 0; tap < taps; ++tap) {
    const P* from = w + tap / conv.K * ws.h + tap % conv.K * ws.w;
    T* to = scratch + (first + step * tap) * lanes;
    if (ws.c == 1)
      k.transpose_in(m, c, from, ws.n, to, taps * lanes);
    else
      k.copy_in(c, m, from, ws.c, to, taps * lanes, 0);
  }
}

// Prefetches what gather_filters will read, or scatter_filters will write (WRITE). The pieces of w
// are too short for the CPU's prefetcher. It is always inline, because g++ drops calls of functions
// that only prefetch.
template <bool WRITE = false, class T>
__attribute__((always_inline)) inline void fetch_filters(const WinogradConv& conv, const T* w,
                                                         int64_t m, int64_t c) {
  const Strides& ws = conv.w;
  const int64_t row = conv.K * int64_t(sizeof(T)) * (ws.w == 1 ? conv.K : 1);
  const int64_t rows = ws.w == 1 ? 1 : conv.K, columns = ws.w == 1 ? 1 : conv.K;
  // Channels last: neighbours in c or in m share a line or two.
  const int64_t m_end = ws.n == 1 ? 1 : m, c_end = ws.c == 1 ? 1 : c;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t q = 0; q < columns; ++q)
      for (int64_t i = 0; i < c_end; ++i)
        for (int64_t j = 0; j < m_end; ++j) {
          const char* at =
              reinterpret_cast<const char*>(w + r * ws.h + q * ws.w + i * ws.c + j * ws.n);
          __builtin_prefetch(at, WRITE);
          if (row > CACHE_LINE) __builtin_prefetch(at + CACHE_LINE, WRITE);
        }
}

// Transforms tiles.count filters of `lanes` output channels to tiles.points_out.
template <class P, class T>
void filters_to_points(const RowKernels<P>& k, const WinogradTransforms<T>& transforms,
                       const WinogradConv& conv, const P* w, int64_t lanes, WinogradTiles<T> tiles,
                       T* scratch) {
  gather_filters(k, conv, w, lanes, tiles.count, scratch);
  tiles.pixels_in = scratch;
  tiles.pixel_row = conv.K * k.lanes;
  tiles.pixel_tile = conv.K * conv.K * k.lanes;
  transforms.filter(tiles);
}

// The inverse of gather_filters, without the turn by 180 degrees.
template <class P, class T>
void scatter_filters(const RowKernels<P>& k, const WinogradConv& conv, const T* scratch, int64_t m,
                     int64_t c, P* w) {
  const int64_t taps = conv.K * conv.K, lanes = k.lanes;
  const Strides& ws = conv.w;
  if (ws.w == 1) return k.transpose_out(c * taps, m, scratch, lanes, w, ws.n);
  for (int64_t tap = 0; tap < taps; ++tap)
    k.transpose_out(c, m, scratch + tap * lanes, taps * lanes,
                    w + tap / conv.K * ws.h + tap % conv.K * ws.w, ws.n);
}

}  // namespace fastconv::cpu
