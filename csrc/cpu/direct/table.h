// The register tiles of direct convolution. Each instruction set provides a table of them. A packed
// array has the layout of band.h. Layer: cpu/direct.
#pragma once

#include <cstdint>

#include "../common/isa.h"

namespace fastconv::cpu {

// Lanes = neighbouring output pixels of one row.
//   y[m][v][lane] = bias[m] + sum over t of w[t][m] * x[x_offset[v] + tap[t] + lane]
template <class T>
struct PixelTile {
  int64_t taps;
  const int32_t* tap;  // [taps] element offsets into the packed band
  const T* w;          // [taps][panel_width]
  const T* bias;       // [panel_width]
  const T* x;
  const int32_t* x_offset;  // [tile's vectors] offset of a vector's first pixel at tap offset 0
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

// Lanes = neighbouring output pixels of one row.
//   sums[m][t][lane] += sum over rows i, vectors j of grad_y[m][i][j + lane] * x[tap[t] + i * x_row + j + lane]
template <class T>
struct WeightPixelTile {
  const int32_t* tap;  // [tile's taps]
  const T* grad_y;     // [tile's channels][rows][columns]
  int64_t y_channel;   // stride
  const T* x;
  T* sums;               // [tile's channels][tile's taps][lanes]
  int64_t sums_channel;  // stride
  int64_t rows, columns, x_row;
};

template <class T>
struct DirectKernels {
  static constexpr int MOST_PIXEL_TILES = 5, MAX_VECTORS = 8;
  static constexpr int CHANNEL_VECTORS = 2, CHANNEL_PIXELS = 12;
  static constexpr int WEIGHT_VECTORS = 3, WEIGHT_TAPS = 8;

  struct {
    int channels, vectors;
    void (*run)(const PixelTile<T>&);
  } pixel_tiles[MOST_PIXEL_TILES];  // channels descending to 1
  int pixel_tile_count;
  int channel_pixels;  // the most pixels of a tile
  void (*channel_tiles[CHANNEL_VECTORS][CHANNEL_PIXELS])(
      const ChannelTile<T>&);       // [vectors - 1][pixels - 1]
  int weight_taps[WEIGHT_VECTORS];  // the most taps of a tile
  void (*weight_tiles[WEIGHT_VECTORS][WEIGHT_TAPS])(
      const WeightTile<T>&);  // [vectors - 1][taps - 1]

  static constexpr int WEIGHT_CHANNELS = 3, WEIGHT_PIXEL_TAPS = 12;
  int weight_pixel_taps[WEIGHT_CHANNELS];  // the most taps of a tile
  void (*weight_pixel_tiles[WEIGHT_CHANNELS][WEIGHT_PIXEL_TAPS])(
      const WeightPixelTile<T>&);  // [channels - 1][taps - 1]
};

FASTCONV_TABLE(DirectKernels, direct_kernels)

}  // namespace fastconv::cpu
