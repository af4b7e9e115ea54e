// The table of row kernels for one instruction set. Layer: cpu/simd.
#include "../../core/dtype.h"
#include "table.h"

#include "begin.inl"

#include "finish.inl"
#include "rows.inl"

template <class T>
constexpr RowKernels<T> make_table() {
  using Sum = SumOf<T>;
  RowKernels<T> k{};
  k.lanes = LANES<T>;
  k.wait_for_streams = wait_for_streams;
  k.copy_in = copy_rows<T, Sum, false>;
  k.copy_out = copy_rows<Sum, T, true>;
  if constexpr (REGISTER_BYTES == 64 && !IS_WIDENED<T>) k.stream_out = stream_rows<T>;
  k.transpose = transpose<T, T>;
  k.transpose_in = transpose<T, Sum>;
  k.transpose_out = transpose<Sum, T>;
  k.finish = finish_rows<T>;
  k.finish_transposed = finish_transposed<T>;
  k.every_second = every_second<Sum>;
  k.add = add<Sum>;
  k.keyed_sum = keyed_sum;
  return k;
}

#define TABLE RowKernels
#define TABLE_NAME row_kernels
#include "end.inl"
