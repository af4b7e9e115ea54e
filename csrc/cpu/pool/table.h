// The leaf kernels of the pools, and the table of them that one instruction set provides. Layer:
// cpu/pool.
#pragma once

#include <cstdint>

#include "../../core/shape.h"
#include "../common/isa.h"

namespace fastconv::cpu {

// Windows of 2 x 2 that tile the image, the commonest pooling. The last row or column may be left over.
constexpr bool is_2x2_tiling(const Pool2dShape& s) {
  return s.KH == 2 && s.KW == 2 && s.stride_h == 2 && s.stride_w == 2 && s.pad_h == 0 &&
         s.pad_w == 0 && s.dilation_h == 1 && s.dilation_w == 1;
}

// Rows [first, end) of the output (forward) or of the input gradient (backward) of `count` NCHW planes
// that lie one behind the other; count > 1 only with all rows. A job: what is behind y in these rows is
// written by nobody else.
template <class T>
struct PoolPlanes {
  const T* x;  // first plane; of grad_y in backward
  T* y;        // first plane; of grad_x in backward
  int64_t count, first, end;
  const T *x_begin, *x_end;  // the whole tensor: what may be read
};

// One row of an NHWC image: row `at` of the output (forward) or of the input gradient (backward).
template <class T>
struct PoolRow {
  const T* x;  // image; of grad_y in backward
  T* y;        // row; of grad_x in backward
  int64_t at;
};

// Codes of max pooling: where in its window a maximum is, kh * KW + kw, in `width` bytes each, 1 or 4.
template <class Byte, class Word>
struct EitherCodes {
  Byte* at;  // null: not wanted
  int64_t width;

  constexpr EitherCodes(Byte* codes) : at(codes), width(1) {}
  EitherCodes(Word* codes) : at(reinterpret_cast<Byte*>(codes)), width(4) {}
  constexpr explicit operator bool() const { return at != nullptr; }
  constexpr EitherCodes operator+(int64_t outputs) const {
    EitherCodes moved = *this;
    moved.at += outputs * width;
    return moved;
  }
  constexpr Byte* bytes() const { return at; }
  Word* words() const { return reinterpret_cast<Word*>(at); }
  void put(int64_t code) const {
    if (width == 1)
      *bytes() = static_cast<Byte>(code);
    else
      *words() = static_cast<Word>(code);
  }
};
using Codes = EitherCodes<uint8_t, int32_t>;
using ConstCodes = EitherCodes<const uint8_t, const int32_t>;

// Max pooling. `codes` may be null in forward.
template <class T>
struct MaxPoolKernels {
  using Sum = SumOf<T>;
  // NCHW; lanes = neighbouring outputs (gradient: inputs) of a row. `codes`: of the first plane.
  void (*rows)(const Pool2dShape&, const PoolPlanes<T>&, Codes codes);
  void (*gradient_rows)(const Pool2dShape&, const PoolPlanes<T>&,
                        ConstCodes codes);  // 2 x 2 tiling
  // NHWC; lanes = channels. `codes`: of the row of outputs; of the image.
  void (*pixels)(const Pool2dShape&, const PoolRow<T>&, Codes codes);
  void (*gradient_pixels)(const Pool2dShape&, const PoolRow<T>&, ConstCodes codes);
  // Stride 1, no dilation. Output rows of one NCHW plane (channels = 0), or of 1 to LANES channels of
  // an NHWC image. `scratch`: 2 * separable_elements.
  void (*separable)(const Pool2dShape&, const PoolPlanes<T>&, int channels, Sum* scratch,
                    Codes codes);
  // 2 x 2 windows that tile NCHW maps of OW = 1, 2, 4 ... < lanes outputs a row.
  void (*tiles)(int64_t OW, int64_t outputs, const T* x, T* y, Codes codes);
  void (*gradient_tiles)(int64_t OW, int64_t outputs, const T* grad_y, ConstCodes codes, T* grad_x);
  // NHWC, 2 x 2 tiling: rows 2 * at and 2 * at + 1 of grad_x, the first of which is y.
  void (*gradient_squares)(const Pool2dShape&, const PoolRow<T>&, ConstCodes codes);
};

// Elements of the values, and of the places, of a block of separable.inl; pixels of `pixel` elements.
constexpr int64_t separable_elements(const Pool2dShape& s, int64_t outputs, int64_t pixel,
                                     int64_t lanes) {
  const int64_t pitch = (s.OW + s.KW - 1) * pixel;
  return round_up((outputs + s.KH - 1) * pitch + s.KW * pixel + 2 * lanes, lanes);
}

template <class T>
struct PoolKernels {
  using Sum = SumOf<T>;
  int lanes;
  MaxPoolKernels<T> max;
  void (*avg_rows)(const Pool2dShape&, const PoolPlanes<T>&);
  void (*avg_gradient_rows)(const Pool2dShape&, const PoolPlanes<T>&);
  void (*avg_pixels)(const Pool2dShape&, const PoolRow<T>&);
  void (*avg_gradient_pixels)(const Pool2dShape&, const PoolRow<T>&);
  void (*avg_gradient_squares)(const Pool2dShape&, const PoolRow<T>&);
  // NHWC: y[c] = sum of x[i * row + c] over i < count, divided, for c < channels
  void (*pixel_mean)(int64_t count, int64_t channels, const T* x, int64_t row, Sum divisor, T* y);
  // NCHW: y[i * y_step] = the sum over r < rows, c < columns of x[i * plane + r * row + c], divided,
  // for i < planes
  void (*plane_means)(int64_t planes, int64_t rows, int64_t columns, const T* x, int64_t plane,
                      int64_t row, Sum divisor, T* y, int64_t y_step);
};

FASTCONV_TABLE(PoolKernels, pool_kernels)

}  // namespace fastconv::cpu
