// The register tiles of c (+)= a b. Each instruction set provides a table of them. Layer: cpu/gemm.
#pragma once

#include <cstdint>

#include "../common/isa.h"

namespace fastconv::cpu {

// Elements in a row of a, or of a transposed. It is a constant, so that the addresses of a tile's
// broadcasts take no instructions. Longer sums come in parts, one product each.
constexpr int64_t PRODUCT_PART = 64;

// c[m][n] = sum over k of a(m, k) * b[k * b_row + n], with `add` c[m][n] plus this sum. a(m, k) is
// a[m][k], or a[k][m] in transposed products. next_a and next_b are prefetched for the following
// product; next_b advances by next_b_step in each step.
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

// c[m][n] = start + sum over k of a[m * a_row + k * a_step] * b[k * b_row + n], where start is
// c[m][n] with `add`, else row_start[m], column_start[n], or 0 where both are null. K is at most
// LONGEST_SUM.
template <class T>
struct StridedProduct {
  int64_t K;
  const T* a;
  int64_t a_row, a_step;
  const T* b;
  int64_t b_row;
  T* c;
  int64_t c_row;
  bool add;
  const T *row_start = nullptr, *column_start = nullptr;
};
constexpr int64_t LONGEST_SUM = 256;  // of one sum in registers

// `count` neighbouring columns of a panel, from column `at` on: x[from], x[from + step], ...; zeros
// if step is 0.
struct Piece {
  int64_t at, count, from, step;
};

// Copies the pieces of C rows of a panel. A row has room for `room` columns.
template <class T>
struct PiecePack {
  using Sum = SumOf<T>;
  int64_t C, pieces;
  const Piece* piece;
  const T* x;
  int64_t x_channel;
  Sum* out;
  int64_t out_channel, room;
};

// out[r][c * ways + w] = in[w][r][c], rounded, for 2 or 4 ways w.
template <class T>
struct Interleaving {
  static constexpr int MOST_WAYS = 4;
  int64_t rows, columns;
  const SumOf<T>* in[MOST_WAYS];
  int64_t in_row[MOST_WAYS];
  T* out;
  int64_t out_row;
};

// The products for tensors of T, in the type of its sums: all types with the same sums share them.
template <class T>
struct ProductKernels {
  using Sum = SumOf<T>;
  // Register tiles for an a with rows of PRODUCT_PART elements.
  static constexpr int PANEL_VECTORS = 2, PANEL_TILES = 5;
  int panel_rows[PANEL_VECTORS][PANEL_TILES];  // [vectors - 1][tile], descending to 1
  // [transposed][vectors - 1][tile]
  void (*panel_products[2][PANEL_VECTORS][PANEL_TILES])(const PanelProduct<Sum>&);

  // For panels of TILE_VECTORS vectors.
  static constexpr int TILE_VECTORS = 3, TILE_PRODUCTS = 4;
  int tile_rows[TILE_PRODUCTS];  // descending to 1
  void (*tile_products[TILE_PRODUCTS])(const PanelProduct<Sum>&);

  // For any strides of a.
  static constexpr int STRIDED_VECTORS = 3, STRIDED_TILES = 5;
  int strided_rows[STRIDED_VECTORS][STRIDED_TILES];  // [vectors - 1][tile], descending to 1
  void (*strided_products[STRIDED_VECTORS][STRIDED_TILES])(const StridedProduct<Sum>&);
  void (*pack_pieces)(const PiecePack<T>&);
  // out[r][c] = in[r][c], rounded
  void (*write_rows)(int64_t rows, int64_t columns, const Sum* in, int64_t in_row, T* out,
                     int64_t out_row);
  void (*interleave_pairs)(const Interleaving<T>&);
  void (*interleave_fours)(const Interleaving<T>&);
};

FASTCONV_TABLE(ProductKernels, product_kernels)

}  // namespace fastconv::cpu
