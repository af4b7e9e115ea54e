// The table of row kernels for one instruction set. Layer: cpu/simd.
#include "../../core/dtype.h"
#include "table.h"

#include "begin.inl"

#include "rows.inl"

template <class T>
constexpr RowKernels<T> make_table() {
  RowKernels<T> k{};
  k.lanes = LANES<T>;
  k.wait_for_streams = wait_for_streams;
  k.copy_in = copy_rows<T, false>;
  k.copy_out = copy_rows<T, true>;
  k.stream_out = REGISTER_BYTES == 64 ? stream_rows<T> : nullptr;
  k.transpose = transpose<T>;
  k.every_second = every_second<T>;
  k.add = add<T>;
  k.keyed_sum = keyed_sum;
  return k;
}

#define TABLE RowKernels
#define TABLE_NAME row_kernels
#include "end.inl"
