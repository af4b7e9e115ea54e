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

// Register tiles for an a with rows of PRODUCT_PART elements.
template <class T>
struct ProductKernels {
  static constexpr int PANEL_VECTORS = 2, PANEL_TILES = 5;
  int panel_rows[PANEL_VECTORS][PANEL_TILES];  // [vectors - 1][tile], descending to 1
  // [transposed][vectors - 1][tile]
  void (*panel_products[2][PANEL_VECTORS][PANEL_TILES])(const PanelProduct<T>&);

  // For panels of TILE_VECTORS vectors.
  static constexpr int TILE_VECTORS = 3, TILE_PRODUCTS = 4;
  int tile_rows[TILE_PRODUCTS];  // descending to 1
  void (*tile_products[TILE_PRODUCTS])(const PanelProduct<T>&);
};

FASTCONV_TABLE(ProductKernels, product_kernels)

}  // namespace fastconv::cpu
