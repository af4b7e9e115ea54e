// The leaf kernels of depthwise convolution for one instruction set, and the table of them.
#include "../../core/dtype.h"
#include "table.h"

#include "../simd/begin.inl"
#include "../simd/finish.inl"
#include "../simd/memory.inl"

constexpr int WIDE_TILE = 7;    // columns: divides rows of 7, 14, 28, 56, 112
constexpr int NARROW_TILE = 3;  // columns, for rows of 3 to 6
constexpr int SUMS_TILE = 4;    // columns of grad_y in registers, beside 9 or 10 sums

constexpr int PLANE_ROWS = 7;  // divides planes of 7, 14, 28, 56, 112

#include "planes.inl"
#include "plane_sums.inl"
#include "rows.inl"
#include "sums.inl"

// The most rows of taps of a register tile: a square filter, or as many as leave room for SUMS_TILE
// vectors of grad_y, one of x and one sum for grad_bias.
constexpr int most_tap_rows(int taps) {
  const int rows = (REGISTERS - SUMS_TILE - 2) / taps;
  return rows < taps ? rows : taps;
}

template <class T, int TAPS>
constexpr void add_row_tiles(DepthwiseKernels<T>& k) {
  k.row[0][TAPS - 1] = depthwise_row<T, TAPS, 1>;
  if constexpr (TAPS == 3 || TAPS == 5 || TAPS == 7) k.row[1][TAPS - 1] = depthwise_row<T, TAPS, 2>;
}

// A tile of one row of taps serves what is left of the rows of a filter.
template <class T, int TAPS>
constexpr void add_sums_tiles(DepthwiseKernels<T>& k) {
  constexpr int MOST = most_tap_rows(TAPS);
  k.tap_rows[TAPS - 1] = MOST;
  k.any_sums[TAPS - 1] = depthwise_sums<T, TAPS, 0, 1>;
  k.sums[0][TAPS - 1] = {depthwise_sums<T, TAPS, 1, 1>, depthwise_sums<T, TAPS, 1, MOST>};
  k.sums[1][TAPS - 1] = {depthwise_sums<T, TAPS, 2, 1>, depthwise_sums<T, TAPS, 2, MOST>};
}

template <class T>
constexpr DepthwiseKernels<T> with_tiles(DepthwiseKernels<T> k) {
  add_row_tiles<T, 1>(k);
  add_row_tiles<T, 2>(k);
  add_row_tiles<T, 3>(k);
  add_row_tiles<T, 4>(k);
  add_row_tiles<T, 5>(k);
  add_row_tiles<T, 7>(k);
  k.any_row = depthwise_row<T, 0, 0>;
  k.plane_rows = PLANE_ROWS;
  k.plane[2] = depthwise_plane<T, 3, false>;
  k.plane[4] = depthwise_plane<T, 5, false>;
  k.plane[6] = depthwise_plane<T, 7, false>;
  k.any_plane = depthwise_plane<T, 0, false>;
  k.flat_plane = depthwise_plane<T, 0, true>;
  k.plane_sums = depthwise_plane_sums<T>;
  add_sums_tiles<T, 1>(k);
  add_sums_tiles<T, 2>(k);
  add_sums_tiles<T, 3>(k);
  add_sums_tiles<T, 5>(k);
  add_sums_tiles<T, 7>(k);
  return k;
}

template <class T>
constexpr DepthwiseKernels<T> make_table() {
  DepthwiseKernels<T> k{};
  // In place for what 16-bit tensors meet: AVX2 and AVX-512. Others pack them, and compile sooner.
  constexpr bool IN_PLACE = REGISTER_BYTES > 16 && REGISTER_BYTES == VECTOR_BYTES;
  if constexpr (IS_HALF<T> && !IN_PLACE)
    return k;
  else
    return with_tiles(k);
}

#define TABLE DepthwiseKernels
#define TABLE_NAME depthwise_kernels
#include "../simd/end.inl"
