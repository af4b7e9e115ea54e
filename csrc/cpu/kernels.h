// What one instruction set provides: pointers to leaf kernels and the extents of their tiles.
// Layer: cpu. Leaf kernels know no threads, no allocation and no errors; the drivers beside this
// file own loops and packing. "packed" means: laid out by band.h.
#pragma once

#include <cstdint>

#include "../shape.h"

namespace fastconv::cpu {

// Lanes = neighbouring output pixels of one row.
//   y[m][v][lane] = bias[m] + sum over t of w[t][m] * x[x_offset[v] + tap[t] + lane]
template <class T>
struct PixelTile {
  int64_t taps;
  const int32_t* tap;  // [taps] element offsets into the packed band
  const T* w;          // [taps][m_tile]
  const T* bias;       // [m_tile]
  const T* x;
  const int32_t* x_offset;  // [tile's vectors] where a vector's first pixel reads tap offset 0
  T* y;
  const int64_t* y_offset;  // [tile's vectors]
  const int32_t* lanes;     // [tile's vectors] pixels to store
  int vectors;              // vectors to store
  int channels;             // channels to store
  int64_t y_channel;        // stride
};

// Lanes = output channels; pixels p are neighbours in one row.
//   y[p][m] = bias[m] + sum over t of w[t][m] * x[tap[t] + p]
template <class T>
struct ChannelTile {
  int64_t taps;
  const int32_t* tap;
  const T* w;     // [taps][tile's vectors * lanes]
  const T* bias;  // [tile's vectors * lanes]
  const T* x;
  T* y;
  int64_t y_pixel;  // stride
  int channels;     // channels to store
};

// Lanes = output channels.
//   grad_w[t][m] += sum over rows i, columns j of grad_y[i][j][m] * x[tap[t] + i * x_row + j]
template <class T>
struct WeightTile {
  const int32_t* tap;  // [tile's taps]
  const T* grad_y;     // [rows][columns][tile's vectors * lanes]
  const T* x;
  T* grad_w;  // [tile's taps][tile's vectors * lanes]
  int64_t rows, columns, x_row;
};

// Integers of the same width as T, for codes that travel in the lanes beside values.
template <int BYTES>
struct IntegerOf;
template <>
struct IntegerOf<4> {
  using type = int32_t;
};
template <>
struct IntegerOf<8> {
  using type = int64_t;
};
template <class T>
using LaneInteger = typename IntegerOf<sizeof(T)>::type;

// One pooled pixel of an NHWC image; lanes = channels. Window element (r, s) is x + r * row + s *
// column.
template <class T>
struct PoolPixel {
  int64_t C;
  int64_t rows, columns;  // window inside the image
  int64_t row, column;
  const T* x;
  T* y;
};
template <class T>
struct AvgPoolPixel {
  PoolPixel<T> pool;
  T divisor;
};

// Rows [first, end) of the output (forward) or of the input gradient (backward) of one NCHW plane.
template <class T>
struct PoolPlane {
  const T* x;  // plane; grad_y in backward
  T* y;        // plane; grad_x in backward
  int64_t first, end;
};

// Max pooling. Code: uint8_t or int32_t, where in its window a maximum is, kh * KW + kw; may be
// null in forward.
template <class T, class Code>
struct MaxPoolKernels {
  // NCHW; lanes = neighbouring outputs (gradient: inputs) of a row.
  void (*rows)(const Pool2dShape&, const PoolPlane<T>&, Code* codes);
  void (*gradient_rows)(const Pool2dShape&, const PoolPlane<T>&, const Code* codes);
  // NHWC; lanes = channels. The window's first element inside the image has code `first`.
  void (*pixel)(const PoolPixel<T>&, Code* codes, int64_t first, int64_t KW);
  // out[i] += in[i] where codes[i] == code
  void (*add_selected)(int64_t count, const T* in, const Code* codes, int64_t code, T* out);
};

// Winograd: tiles of 6 x 6 points for OUT x OUT outputs, OUT = 7 - K, of a K x K filter.
constexpr int WINOGRAD_POINTS = 6;

// `count` neighbouring tiles; lanes = channels. Pixel (r, q) of a tile is r * pixel_row + q * lanes,
// point xi is xi * point. Pixels: of the input, of grad_y, or the taps of a filter.
template <class T>
struct WinogradTiles {
  int64_t count;
  const T* pixels_in;  // to points
  T* points_out;
  const T* points_in;  // from points
  T* pixels_out;
  const T* bias;            // [lanes] added to pixels_out, or null
  T* sum;                   // output_gradient: [lanes] += all pixels_in, or null
  const int32_t* position;  // to points: which place of points_out each tile has, or null: in order
  int64_t pixel_row, pixel_tile, point, point_tile;
  bool stream;  // points_out past the caches, aligned to vectors; see wait_for_streams
};

// `count` vectors of tiles of one channel; lanes = tiles: with 4 x 4 outputs lane 4 t + s is tile s *
// lanes / 4 + t, with 2 x 2 lane i is tile i. Pixels lie in rows as in an image: tile i begins at
// offset[i], and the tiles of a run are side by side. Vector v of point xi is at xi * point + v *
// lanes.
template <class T>
struct WinogradRows {
  int64_t count;
  const int32_t* offset;  // [count * lanes]
  const T* pixels_in;     // to points; up to 4 pixels right of a tile's outputs are read
  T* points_out;
  const T* points_in;  // from points
  T* pixels_out;
  T bias;  // added to pixels_out
  int64_t pixel_row, point;
  bool stream;  // as in WinogradTiles
};

template <class T>
struct WinogradRowKernels {
  int run;  // tiles; 0: there are no kernels
  void (*input)(const WinogradRows<T>&);
  void (*output)(const WinogradRows<T>&);
};

// Transforms for one size of filter.
template <class T>
struct WinogradKernels {
  void (*input)(const WinogradTiles<T>&);
  void (*filter)(const WinogradTiles<T>&);
  void (*output)(const WinogradTiles<T>&);           // adds the bias
  void (*output_gradient)(const WinogradTiles<T>&);  // adjoint of output
  void (*filter_gradient)(const WinogradTiles<T>&);  // adjoint of filter
  static constexpr int RUNS = 3;
  WinogradRowKernels<T> rows[RUNS];  // runs descending
};

// What Winograd sums over comes in parts, rows of PART: the length of a sum in one product.
constexpr int64_t WINOGRAD_PART = 64;

// c[m][n] = sum over k of a(m, k) * b[k * b_row + n], or c + that, where a has rows of PART and
// a(m, k) is a[m][k] or, in transposed products, a[k][m]. `next_a`, `next_b`: those of the product
// that follows, to be fetched meanwhile, next_b by next_b_step a step.
template <class T>
struct PanelProduct {
  int64_t K;
  const T *a, *b;
  int64_t b_row;
  T* c;
  int64_t c_row;
  bool add;
  const T *next_a, *next_b;
  int64_t next_b_step;
};

template <class T>
struct Kernels {
  static constexpr int PIXEL_TILES = 5, MAX_VECTORS = 8;
  static constexpr int CHANNEL_VECTORS = 2, CHANNEL_PIXELS = 12;
  static constexpr int WEIGHT_VECTORS = 3, WEIGHT_TAPS = 8;
  static constexpr int PANEL_VECTORS = 2, PANEL_TILES = 5;

  int lanes;
  struct {
    int channels, vectors;
    void (*run)(const PixelTile<T>&);
  } pixel_tiles[PIXEL_TILES];  // channels descending to 1
  int channel_pixels;          // most pixels of a tile
  void (*channel_tiles[CHANNEL_VECTORS][CHANNEL_PIXELS])(
      const ChannelTile<T>&);       // [vectors - 1][pixels - 1]
  int weight_taps[WEIGHT_VECTORS];  // most taps of a tile
  void (*weight_tiles[WEIGHT_VECTORS][WEIGHT_TAPS])(
      const WeightTile<T>&);  // [vectors - 1][taps - 1]

  WinogradKernels<T> winograd_3x3, winograd_5x5;
  int panel_rows[PANEL_VECTORS][PANEL_TILES];  // [vectors - 1], descending to 1
  // [transposed][vectors - 1]
  void (*panel_products[2][PANEL_VECTORS][PANEL_TILES])(const PanelProduct<T>&);

  // Of panels whose lanes are tiles.
  static constexpr int TILE_VECTORS = 3, TILE_PRODUCTS = 4;
  int tile_rows[TILE_PRODUCTS];                                  // descending to 1
  void (*tile_products[TILE_PRODUCTS])(const PanelProduct<T>&);  // of TILE_VECTORS

  MaxPoolKernels<T, uint8_t> max_pool_bytes;
  MaxPoolKernels<T, int32_t> max_pool_words;
  void (*avg_pool_rows)(const Pool2dShape&, const PoolPlane<T>&);
  void (*avg_pool_gradient_rows)(const Pool2dShape&, const PoolPlane<T>&);
  void (*avg_pool_pixel)(const AvgPoolPixel<T>&);
  // The sum of x[r * row + c] over r < rows, c < columns.
  T (*window_sum)(int64_t rows, int64_t columns, const T* x, int64_t row);
  // out[i] += in[i] / divisor
  void (*add_quotient)(int64_t count, const T* in, T divisor, T* out);

  // out[r][c] = in[r][c]; copy_in fetches what lies `ahead` elements behind in, copy_out behind out.
  void (*copy_in)(int64_t rows, int64_t columns, const T* in, int64_t in_row, T* out,
                  int64_t out_row, int64_t ahead);
  void (*copy_out)(int64_t rows, int64_t columns, const T* in, int64_t in_row, T* out,
                   int64_t out_row, int64_t ahead);
  // The same past the caches; null where vectors are no whole lines. See wait_for_streams.
  void (*stream_out)(int64_t rows, int64_t columns, const T* in, int64_t in_row, T* out,
                     int64_t out_row);
  // Until other threads may read what was written past the caches.
  void (*wait_for_streams)();
  // out[c][r] = in[r][c]
  void (*transpose)(int64_t rows, int64_t columns, const T* in, int64_t in_row, T* out,
                    int64_t out_row);
  // out[i] = in[2 * i]; reads nothing behind in[2 * (count - 1)]
  void (*every_second)(int64_t count, const T* in, T* out);
  // out[i] += in[i]
  void (*add)(int64_t count, const T* in, T* out);
  // See checksum.cpp. There are keys for bytes rounded up to a multiple of 256.
  uint64_t (*keyed_sum)(int64_t bytes, const char* data, const char* keys);
};

template <class T>
const Kernels<T>& kernels();

// Those with the narrowest vectors, down to half the width, that hold `channels` in one: half a vector of
// nothing costs as much as half a vector of sums.
template <class T>
const Kernels<T>& kernels_for(int64_t channels);

}  // namespace fastconv::cpu
