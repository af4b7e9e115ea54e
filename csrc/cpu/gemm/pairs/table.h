// Products of pairs of bfloat16, for CPUs that have an instruction for them (../../simd/pairs.inl).
// Layer: cpu/gemm.
//   c[m][n] = start + sum over j of a[m][2 j] * b[2 j][n] + a[m][2 j + 1] * b[2 j + 1][n]
#pragma once

#include <cstdint>
#include <type_traits>

#include "../product.h"
#include "../table.h"

namespace fastconv::cpu {

// Panels and rows are first packed as floats, as for other types. Then neighbours in k are paired in
// place, so that a pair takes the bytes of a float, and half the steps are left:
//
//   pair_rows      b[k][n]   rows 0, 1 -> row 0    rows 2, 3 -> row 1 ...      rows keep their distance
//   pair_columns   a[m][k]   0, 1 -> 0   2, 3 -> 1 ... within each row
//
// The last of an odd number is paired with 0.
struct PairKernels {
  int rows[ProductKernels<BFloat16>::STRIDED_VECTORS][ProductKernels<BFloat16>::STRIDED_TILES];
  // K counts pairs.
  void (*products[ProductKernels<BFloat16>::STRIDED_VECTORS]
                 [ProductKernels<BFloat16>::STRIDED_TILES])(const StridedProduct<float>&);
  void (*pair_rows)(int64_t K, int64_t columns, int64_t row, float* b);
  void (*pair_columns)(int64_t rows, int64_t K, int64_t row, float* a);
};

// Null: this process has no instruction for them. FASTCONV_ISA=avx2-wide emulates it.
const PairKernels* pair_kernels();

// The products of GEMM convolution for tensors of T: of pairs where there are such for T.
template <class T>
class GemmProduct {
 public:
  using Sum = SumOf<T>;

  bool in_pairs() const { return pairs != nullptr; }
  void pair_rows(int64_t K, int64_t columns, int64_t row, Sum* b) const {
    if constexpr (IS_PAIRED)
      if (pairs) pairs->pair_rows(K, columns, row, b);
  }
  void pair_columns(int64_t rows, int64_t K, int64_t row, Sum* a) const {
    if constexpr (IS_PAIRED)
      if (pairs) pairs->pair_columns(rows, K, row, a);
  }
  // multiply_strided, of operands that were paired.
  void multiply(int64_t vectors, int64_t rows, StridedProduct<Sum> p) const {
    if constexpr (IS_PAIRED)
      if (pairs) {
        p.K = ceil_div(p.K, 2);
        return multiply_tiles(pairs->rows[vectors - 1], pairs->products[vectors - 1], rows, p);
      }
    multiply_strided(single, vectors, rows, p);
  }

 private:
  static constexpr bool IS_PAIRED = std::is_same<T, BFloat16>::value;
  const ProductKernels<T>& single = product_kernels<T>(isa());
  const PairKernels* pairs = IS_PAIRED ? pair_kernels() : nullptr;
};

}  // namespace fastconv::cpu
