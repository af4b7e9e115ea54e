// Row kernels, which every family may use: they copy, transpose and add rows, and compute
// checksums. Each instruction set provides a table of them. `_in` reads elements of a tensor and
// widens them to the type of sums, `_out` writes a tensor and rounds. Layer: cpu/simd.
#pragma once

#include <cstdint>
#include <limits>

#include "../common/isa.h"

namespace fastconv::cpu {

// What is left of an epilogue (../../core/conv2d.h) once the bias is in the sum:
//   out = clamp(sum + addend)
template <class T>
struct Finish {
  bool none = true;           // out = sum
  const T* addend = nullptr;  // beside out: as far from it in memory for every element; or null
  SumOf<T> lowest = -std::numeric_limits<SumOf<T>>::infinity();
  SumOf<T> highest = std::numeric_limits<SumOf<T>>::infinity();
};

// A matrix of sums that is finished and written to a tensor.
template <class T>
struct FinishedRows {
  int64_t rows, columns;
  const SumOf<T>* in;
  int64_t in_row;
  T* out;
  int64_t out_row;
  Finish<T> finish;
};

template <class T>
struct RowKernels {
  using Sum = SumOf<T>;
  int lanes;  // elements per vector, the same for every family

  // out[r][c] = in[r][c]. copy_in prefetches the memory `ahead` elements after in, copy_out the
  // memory after out.
  void (*copy_in)(int64_t rows, int64_t columns, const T* in, int64_t in_row, Sum* out,
                  int64_t out_row, int64_t ahead);
  void (*copy_out)(int64_t rows, int64_t columns, const Sum* in, int64_t in_row, T* out,
                   int64_t out_row, int64_t ahead);
  // copy_out with non-temporal stores; null if a vector of T is shorter than a cache line. Call
  // wait_for_streams afterwards.
  void (*stream_out)(int64_t rows, int64_t columns, const Sum* in, int64_t in_row, T* out,
                     int64_t out_row);
  // Returns when other threads may read what non-temporal stores have written.
  void (*wait_for_streams)();
  // out[c][r] = in[r][c]
  void (*transpose)(int64_t rows, int64_t columns, const T* in, int64_t in_row, T* out,
                    int64_t out_row);
  void (*transpose_in)(int64_t rows, int64_t columns, const T* in, int64_t in_row, Sum* out,
                       int64_t out_row);
  void (*transpose_out)(int64_t rows, int64_t columns, const Sum* in, int64_t in_row, T* out,
                        int64_t out_row);
  // out[r][c] = in[r][c], and out[c][r] = in[r][c], with their finish. In `finish`, in may be out.
  void (*finish)(const FinishedRows<T>&);
  void (*finish_transposed)(const FinishedRows<T>&);
  // out[i] = in[2 * i]; reads nothing after in[2 * (count - 1)]
  void (*every_second)(int64_t count, const Sum* in, Sum* out);
  // out[i] += in[i]
  void (*add)(int64_t count, const Sum* in, Sum* out);
  // See common/checksum.cpp. There are keys for bytes rounded up to a multiple of 256.
  uint64_t (*keyed_sum)(int64_t bytes, const char* data, const char* keys);
};

FASTCONV_TABLE(RowKernels, row_kernels)

}  // namespace fastconv::cpu
