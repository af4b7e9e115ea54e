// Leaf kernels that every family may use: they move rows about, and tell whether memory has changed.
// The table of them that one instruction set provides. Layer: cpu/simd.
#pragma once

#include <cstdint>

#include "../common/isa.h"

namespace fastconv::cpu {

template <class T>
struct RowKernels {
  int lanes;  // elements per vector, of this family's and all others' kernels

  // out[r][c] = in[r][c]; copy_in fetches what lies `ahead` elements behind in, copy_out behind out.
  void (*copy_in)(int64_t rows, int64_t columns, const T* in, int64_t in_row, T* out,
                  int64_t out_row, int64_t ahead);
  void (*copy_out)(int64_t rows, int64_t columns, const T* in, int64_t in_row, T* out,
                   int64_t out_row, int64_t ahead);
  // The same past the caches; null where vectors are no whole lines. See wait_for_streams.
  void (*stream_out)(int64_t rows, int64_t columns, const T* in, int64_t in_row, T* out,
                     int64_t out_row);
  // Until other threads may read what was written past the caches.
  void (*wait_for_streams)();
  // out[c][r] = in[r][c]
  void (*transpose)(int64_t rows, int64_t columns, const T* in, int64_t in_row, T* out,
                    int64_t out_row);
  // out[i] = in[2 * i]; reads nothing behind in[2 * (count - 1)]
  void (*every_second)(int64_t count, const T* in, T* out);
  // out[i] += in[i]
  void (*add)(int64_t count, const T* in, T* out);
  // See common/checksum.h.
  uint64_t (*checksum)(int64_t bytes, const char* data, uint64_t seed);
};

FASTCONV_TABLE(RowKernels, row_kernels)

}  // namespace fastconv::cpu
