// The leaf kernels of the pools, and the table of them that one instruction set provides. Layer:
// cpu/pool.
#pragma once

#include <cstdint>

#include "../../core/shape.h"
#include "../common/isa.h"

namespace fastconv::cpu {

// One pooled pixel of an NHWC image; lanes = channels. Window element (r, s) is x + r * row + s *
// column.
template <class T>
struct PoolPixel {
  int64_t C;
  int64_t rows, columns;  // window inside the image
  int64_t row, column;
  const T* x;
  T* y;
};
template <class T>
struct AvgPoolPixel {
  PoolPixel<T> pool;
  T divisor;
};

// Rows [first, end) of the output (forward) or of the input gradient (backward) of one NCHW plane.
template <class T>
struct PoolPlane {
  const T* x;  // plane; grad_y in backward
  T* y;        // plane; grad_x in backward
  int64_t first, end;
};

// Max pooling. Code: uint8_t or int32_t, where in its window a maximum is, kh * KW + kw; may be
// null in forward.
template <class T, class Code>
struct MaxPoolKernels {
  // NCHW; lanes = neighbouring outputs (gradient: inputs) of a row.
  void (*rows)(const Pool2dShape&, const PoolPlane<T>&, Code* codes);
  void (*gradient_rows)(const Pool2dShape&, const PoolPlane<T>&, const Code* codes);
  // NHWC; lanes = channels. The window's first element inside the image has code `first`.
  void (*pixel)(const PoolPixel<T>&, Code* codes, int64_t first, int64_t KW);
  // out[i] += in[i] where codes[i] == code
  void (*add_selected)(int64_t count, const T* in, const Code* codes, int64_t code, T* out);
};

template <class T>
struct PoolKernels {
  MaxPoolKernels<T, uint8_t> max_bytes;
  MaxPoolKernels<T, int32_t> max_words;
  void (*avg_rows)(const Pool2dShape&, const PoolPlane<T>&);
  void (*avg_gradient_rows)(const Pool2dShape&, const PoolPlane<T>&);
  void (*avg_pixel)(const AvgPoolPixel<T>&);
  // The sum of x[r * row + c] over r < rows, c < columns.
  T (*window_sum)(int64_t rows, int64_t columns, const T* x, int64_t row);
  // out[i] += in[i] / divisor
  void (*add_quotient)(int64_t count, const T* in, T divisor, T* out);
};

FASTCONV_TABLE(PoolKernels, pool_kernels)

}  // namespace fastconv::cpu
