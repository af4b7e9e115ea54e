// The leaf kernels of grouped convolution for one instruction set, and the table of them.
#include "../../core/dtype.h"
#include "table.h"

#include "../simd/begin.inl"

constexpr int WIDE_TILE = 7;              // columns: divides rows of 7, 14, 28, 56, 112
constexpr int NARROW_TILE = 3;            // columns, for rows of 3 to 6
constexpr int PAIR_TILE = WIDE ? 12 : 6;  // columns of two vectors: 24 or 12 sums
constexpr int SUMS_INPUTS = 4;  // inputs of a tile of sums where all lanes are of one group

#include "rows.inl"
#include "sums.inl"

template <class T, int G, int TAPS>
constexpr void add_sums_tiles(typename GroupedKernels<T>::Kind& kind) {
  constexpr int INPUTS = G == 0 ? SUMS_INPUTS : G;
  kind.sums[0][TAPS - 1] = grouped_sums<T, G, TAPS, 1, INPUTS>;
  kind.sums[1][TAPS - 1] = grouped_sums<T, G, TAPS, 2, INPUTS>;
  kind.any_sums[TAPS - 1] = grouped_sums<T, G, TAPS, 0, INPUTS>;
  if constexpr (G == 0) kind.sums_of_one[TAPS - 1] = grouped_sums<T, G, TAPS, 0, 1>;
}

// G: 0, or the channels of a group, which divide a vector.
template <class T, int G>
constexpr typename GroupedKernels<T>::Kind kind_of_kernels() {
  typename GroupedKernels<T>::Kind kind{};
  if constexpr (G < LANES<T>) {
    kind.inputs = G == 0 ? SUMS_INPUTS : G;
    kind.row[0] = grouped_row<T, G, 1>;
    kind.row[1] = grouped_row<T, G, 2>;
    kind.any_row = grouped_row<T, G, 0>;
    add_sums_tiles<T, G, 1>(kind);
    add_sums_tiles<T, G, 2>(kind);
    add_sums_tiles<T, G, 3>(kind);
  }
  return kind;
}

template <class T>
constexpr GroupedKernels<T> make_table() {
  return {{kind_of_kernels<T, 0>(), kind_of_kernels<T, 2>(), kind_of_kernels<T, 4>(),
           kind_of_kernels<T, 8>()}};
}

#define TABLE GroupedKernels
#define TABLE_TYPES FASTCONV_FOR_EACH_SUM
#define TABLE_NAME grouped_kernels
#include "../simd/end.inl"
