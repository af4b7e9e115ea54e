// c (+)= a b for one packed panel b and any number of rows. Layer: cpu/gemm, for drivers.
#pragma once

#include "../../core/shape.h"
#include "table.h"

namespace fastconv::cpu {

constexpr int64_t PANEL_BYTES = 24 * 1024;  // of a panel: three quarters of a 32 KiB L1

// c (+)= a b by register tiles of `tile_rows` rows, which descend to 1.
//
//          n ->  panel: 1 to 3 vectors
//        +---------+---------+---------+      a: [rows][PRODUCT_PART]; transposed [k][PRODUCT_PART]
//    m   | tile of tile_rows[0] rows   |      b: [K][b_row], a panel that stays in L1
//        | tile_rows[0]                |      c: [rows][c_row]
//        | tile_rows[1], ...           |
//        +---------+---------+---------+
//
// A tile prefetches the rows of the tile after the next one, of this product or of the following
// one. The time of a single tile is too short for a line to come from L3.
template <class T, bool TRANSPOSED>
void multiply_rows(const int* tile_rows, void (*const* products)(const PanelProduct<T>&),
                   int64_t rows, PanelProduct<T> p) {
  constexpr int64_t STEP = TRANSPOSED ? 1 : PRODUCT_PART;
  const T *first = p.a, *after = p.next_a;
  const int64_t all = rows;
  for (int tile = 0; rows > 0; ++tile)
    for (; rows >= tile_rows[tile]; rows -= tile_rows[tile]) {
      const int64_t done = tile_rows[tile], next = all - rows + 2 * done;
      p.next_a = next < all ? first + next * STEP : after + (next - all) * STEP;
      p.next_b_step = ceil_div(p.b_row * done, all);
      products[tile](p);
      p.a += done * STEP;
      p.c += done * p.c_row;
      p.next_b += p.next_b_step * p.K;
    }
}

// The same for a panel of `vectors` vectors. p.next_a and p.next_b belong to the following product.
template <class T, bool TRANSPOSED>
void multiply_panel(const ProductKernels<T>& k, int64_t vectors, int64_t rows,
                    const PanelProduct<SumOf<T>>& p) {
  if constexpr (!TRANSPOSED)
    if (vectors == ProductKernels<T>::TILE_VECTORS)
      return multiply_rows<SumOf<T>, false>(k.tile_rows, k.tile_products, rows, p);
  multiply_rows<SumOf<T>, TRANSPOSED>(k.panel_rows[vectors - 1],
                                      k.panel_products[TRANSPOSED][vectors - 1], rows, p);
}

// Sums that a register tile needs for a multiply-add to start in every cycle: steps of a multiply-add,
// times those that start at once.
constexpr int64_t least_sums(int64_t vector_bytes) { return vector_bytes < 64 ? 5 : 8; }

// Cuts `count` columns into panels of nearly equal width, of at most `most` vectors each. Two panels of
// 2 vectors are faster than one of 3 and one of 1.
struct PanelCut {
  int64_t count, lanes, panels;

  constexpr PanelCut(int64_t columns, int64_t of_lanes, int64_t most)
      : count(columns), lanes(of_lanes), panels(ceil_div(ceil_div(columns, of_lanes), most)) {}
  constexpr int64_t vectors() const { return ceil_div(count, lanes); }
  // The first column of panel i; of the panel after the last, the columns in whole vectors.
  constexpr int64_t first(int64_t i) const { return i * vectors() / max64(1, panels) * lanes; }
  constexpr int64_t width(int64_t i) const { return first(i + 1) - first(i); }
  // Without the lanes after the last column.
  constexpr int64_t columns(int64_t i) const { return min64(width(i), count - first(i)); }
};

// StridedProduct for any number of rows, by register tiles of `tile_rows` rows, which descend to 1.
template <class T>
void multiply_tiles(const int* tile_rows, void (*const* products)(const StridedProduct<T>&),
                    int64_t rows, StridedProduct<T> p) {
  for (int tile = 0; rows > 0; ++tile)
    for (; rows >= tile_rows[tile]; rows -= tile_rows[tile]) {
      products[tile](p);
      p.a += tile_rows[tile] * p.a_row;
      p.c += tile_rows[tile] * p.c_row;
      if (p.row_start) p.row_start += tile_rows[tile];
    }
}

// The same for a panel b of `vectors` vectors.
template <class T>
void multiply_strided(const ProductKernels<T>& k, int64_t vectors, int64_t rows,
                      const StridedProduct<SumOf<T>>& p) {
  multiply_tiles(k.strided_rows[vectors - 1], k.strided_products[vectors - 1], rows, p);
}

}  // namespace fastconv::cpu
