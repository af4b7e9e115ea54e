// The leaf kernels of matrix products: register tiles of c = a b, and the table of them that one
// instruction set provides. Layer: cpu/gemm.
#pragma once

#include <cstdint>

#include "../common/isa.h"

namespace fastconv::cpu {

// Elements in a row of a, or in a row of a transposed: a constant, so that the addresses of a tile's
// broadcasts cost no instructions. What is longer comes in parts, one product each.
constexpr int64_t PRODUCT_PART = 64;

// c[m][n] = sum over k of a(m, k) * b[k * b_row + n], or c + that, where a(m, k) is a[m][k] or, in
// transposed products, a[k][m]. `next_a`, `next_b`: those of the product that follows, to be fetched
// meanwhile, next_b by next_b_step a step.
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

// Products whose a has rows of PRODUCT_PART.
template <class T>
struct ProductKernels {
  static constexpr int PANEL_VECTORS = 2, PANEL_TILES = 5;
  int panel_rows[PANEL_VECTORS][PANEL_TILES];  // [vectors - 1], descending to 1
  // [transposed][vectors - 1]
  void (*panel_products[2][PANEL_VECTORS][PANEL_TILES])(const PanelProduct<T>&);

  // Of panels of TILE_VECTORS.
  static constexpr int TILE_VECTORS = 3, TILE_PRODUCTS = 4;
  int tile_rows[TILE_PRODUCTS];  // descending to 1
  void (*tile_products[TILE_PRODUCTS])(const PanelProduct<T>&);
};

FASTCONV_TABLE(ProductKernels, product_kernels)

}  // namespace fastconv::cpu
