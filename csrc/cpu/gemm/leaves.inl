// The table of matrix products for one instruction set. Layer: cpu/gemm.
#include "../../core/dtype.h"
#include "table.h"

#include "../simd/begin.inl"

#include "panel_product.inl"
#include "rows.inl"
#include "strided_product.inl"

// Makes the register tile of ROWS rows the N-th for panels of VECTORS vectors.
template <class T, int VECTORS, int N, int ROWS>
constexpr void add_panel_products(ProductKernels<T>& k) {
  k.panel_rows[VECTORS - 1][N] = ROWS;
  k.panel_products[0][VECTORS - 1][N] = panel_product<SumOf<T>, PRODUCT_PART, false, VECTORS, ROWS>;
  k.panel_products[1][VECTORS - 1][N] = panel_product<SumOf<T>, PRODUCT_PART, true, VECTORS, ROWS>;
}

template <class T, int TILE, int ROWS>
constexpr void add_tile_products(ProductKernels<T>& k) {
  k.tile_rows[TILE] = ROWS;
  k.tile_products[TILE] = panel_product<SumOf<T>, PRODUCT_PART, false, 3, ROWS>;
}

template <class T, int VECTORS, int N, int ROWS>
constexpr void add_strided_product(ProductKernels<T>& k) {
  k.strided_rows[VECTORS - 1][N] = ROWS;
  k.strided_products[VECTORS - 1][N] = strided_product<SumOf<T>, VECTORS, ROWS>;
}

template <class T>
constexpr ProductKernels<T> make_table() {
  ProductKernels<T> k{};
  add_panel_products<T, 1, 0, WIDE ? 16 : 6>(k);
  add_panel_products<T, 1, 1, WIDE ? 8 : 4>(k);
  add_panel_products<T, 1, 2, WIDE ? 4 : 3>(k);
  add_panel_products<T, 1, 3, 2>(k);
  add_panel_products<T, 1, 4, 1>(k);
  add_panel_products<T, 2, 0, WIDE ? 7 : 6>(k);
  add_panel_products<T, 2, 1, WIDE ? 6 : 4>(k);
  add_panel_products<T, 2, 2, WIDE ? 4 : 3>(k);
  add_panel_products<T, 2, 3, 2>(k);
  add_panel_products<T, 2, 4, 1>(k);
  add_tile_products<T, 0, 4>(k);
  add_tile_products<T, 1, 3>(k);
  add_tile_products<T, 2, 2>(k);
  add_tile_products<T, 3, 1>(k);
  add_strided_product<T, 1, 0, WIDE ? 16 : 12>(k);
  add_strided_product<T, 1, 1, 8>(k);
  add_strided_product<T, 1, 2, 4>(k);
  add_strided_product<T, 1, 3, 2>(k);
  add_strided_product<T, 1, 4, 1>(k);
  add_strided_product<T, 2, 0, WIDE ? 12 : 6>(k);
  add_strided_product<T, 2, 1, WIDE ? 6 : 4>(k);
  add_strided_product<T, 2, 2, WIDE ? 4 : 3>(k);
  add_strided_product<T, 2, 3, 2>(k);
  add_strided_product<T, 2, 4, 1>(k);
  add_strided_product<T, 3, 0, WIDE ? 8 : 4>(k);
  add_strided_product<T, 3, 1, WIDE ? 4 : 3>(k);
  add_strided_product<T, 3, 2, WIDE ? 3 : 2>(k);
  add_strided_product<T, 3, 3, WIDE ? 2 : 1>(k);
  add_strided_product<T, 3, 4, 1>(k);
  k.pack_pieces = pack_pieces<T>;
  k.write_rows = write_rows<T>;
  k.interleave_pairs = interleave<T, 2>;
  k.interleave_fours = interleave<T, 4>;
  return k;
}

#define TABLE ProductKernels
#define TABLE_NAME product_kernels
#include "../simd/end.inl"
