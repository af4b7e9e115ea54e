// The products of pairs of bfloat16 for one instruction set, and the table of them.
#include "../../../core/dtype.h"
#include "table.h"

#include "../../simd/begin.inl"
#include "../../simd/pairs.inl"

#include "../strided_product.inl"
#include "pair.inl"

template <int VECTORS, int N, int ROWS>
constexpr void add_product(PairKernels& k) {
  k.rows[VECTORS - 1][N] = ROWS;
  k.products[VECTORS - 1][N] = strided_product<float, VECTORS, ROWS, PairTerm>;
}

// The register tiles of floats (../leaves.inl), fewer of them.
constexpr PairKernels make_pair_kernels() {
  PairKernels k{};
  add_product<1, 0, 16>(k);
  add_product<1, 1, 8>(k);
  add_product<1, 2, 4>(k);
  add_product<1, 3, 2>(k);
  add_product<1, 4, 1>(k);
  add_product<2, 0, 12>(k);
  add_product<2, 1, 6>(k);
  add_product<2, 2, 4>(k);
  add_product<2, 3, 2>(k);
  add_product<2, 4, 1>(k);
  add_product<3, 0, 8>(k);
  add_product<3, 1, 4>(k);
  add_product<3, 2, 3>(k);
  add_product<3, 3, 2>(k);
  add_product<3, 4, 1>(k);
  k.pair_rows = pair_rows;
  k.pair_columns = pair_columns;
  return k;
}

}  // namespace

const PairKernels& pair_kernels() {
  static constexpr PairKernels table = make_pair_kernels();
  return table;
}

}  // namespace fastconv::cpu::ISA

#if defined(TARGET) && defined(__clang__)
#pragma clang attribute pop
#endif
