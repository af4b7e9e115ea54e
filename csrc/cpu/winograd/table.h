// Winograd's transforms between pixels and points. Each instruction set provides a table of them.
// Layer: cpu/winograd.
#pragma once

#include <cstdint>

#include "../common/isa.h"

namespace fastconv::cpu {

// A tile has 6 x 6 points, for OUT x OUT outputs of a K x K filter with OUT + K - 1 = 6.
constexpr int WINOGRAD_POINTS = 6;
// Returns OUT.
constexpr int outputs_of_tile(int64_t K) { return static_cast<int>(WINOGRAD_POINTS + 1 - K); }

// `count` neighbouring tiles; lanes = channels. Pixel (r, q) of a tile is at r * pixel_row + q *
// lanes, point xi at xi * point. The pixels belong to x or grad_y, or are the taps of a filter.
template <class T>
struct WinogradTiles {
  int64_t count;
  const T* pixels_in;  // to points
  T* points_out;
  const T* points_in;  // from points
  T* pixels_out;
  const T* bias;            // [lanes] added to pixels_out, or null
  T* sum;                   // output_gradient: [lanes] += all pixels_in, or null
  const int32_t* position;  // to points: the place of each tile in points_out; null: in order
  int64_t pixel_row, pixel_tile, point, point_tile;
  bool stream;  // non-temporal stores of points_out, aligned to vectors; see wait_for_streams
};

// `count` vectors of tiles of one channel; lanes = tiles. With 4 x 4 outputs lane 4 t + s is tile
// s * lanes / 4 + t; with 2 x 2 outputs lane i is tile i. Pixels lie in rows as in an image. Tile i
// begins at offset[i], and neighbouring tiles come in pieces of `piece_tiles`. Vector v of point xi is at
// xi * point + v * lanes.
template <class T>
struct WinogradRows {
  int64_t count;
  const int32_t* offset;  // [count * lanes]
  const T* pixels_in;     // to points; reads up to 4 pixels to the right of a tile's outputs
  T* points_out;
  const T* points_in;  // from points
  T* pixels_out;
  T bias;  // added to pixels_out
  int64_t pixel_row, point;
  bool stream;  // as in WinogradTiles
};

template <class T>
struct WinogradRowKernels {
  int piece_tiles;  // neighbouring tiles of a piece; 0: there are no kernels
  void (*input)(const WinogradRows<T>&);
  bool (*output)(const WinogradRows<T>&);  // as in WinogradTransforms
};

// The transforms for one size of filter. Transforms from points return whether every value that
// they see is finite and below the limit beyond which results may be wrong (axis_transforms.inl).
template <class T>
struct WinogradTransforms {
  void (*input)(const WinogradTiles<T>&);
  void (*filter)(const WinogradTiles<T>&);
  bool (*output)(const WinogradTiles<T>&);           // adds the bias
  void (*output_gradient)(const WinogradTiles<T>&);  // adjoint of output
  bool (*filter_gradient)(const WinogradTiles<T>&);  // adjoint of filter
  static constexpr int PIECES = 3;
  WinogradRowKernels<T> rows[PIECES];  // longest piece first
};

template <class T>
struct WinogradKernels {
  WinogradTransforms<T> filters_3x3, filters_5x5;

  const WinogradTransforms<T>& transforms(int64_t K) const {
    return K == 3 ? filters_3x3 : filters_5x5;
  }
};

FASTCONV_TABLE(WinogradKernels, winograd_kernels)

}  // namespace fastconv::cpu
