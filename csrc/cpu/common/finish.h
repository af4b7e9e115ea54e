// Finishes sums of a driver that has added the bias: y = clamp(sum + addend), see Epilogue
// (../../core/conv2d.h). Layer: cpu, for drivers.
#pragma once

#include "../../core/conv2d.h"
#include "../simd/table.h"

namespace fastconv::cpu {

// The epilogue of a call, and the tensor y that its addend lies beside. Sums are finished where they
// move to y. A driver whose register tiles have stored sums in y finishes these soon afterwards, while
// a cache still holds them. docs/decisions/0016 says why.
template <class T>
class Finishing {
 public:
  using Sum = SumOf<T>;

  Finishing(const Epilogue<T>& epilogue, const T* of_y) : y(of_y) {
    finish.addend = epilogue.addend;
    finish.lowest = epilogue.lowest;
    finish.highest = epilogue.highest;
    const Finish<T> unbounded;
    finish.none = !epilogue.addend && epilogue.lowest == unbounded.lowest &&
                  epilogue.highest == unbounded.highest;
  }
  bool none() const { return finish.none; }

  // The finish of results from `to` on, an element of y.
  Finish<T> at(const T* to) const {
    Finish<T> here = finish;
    if (here.addend) here.addend += to - y;
    return here;
  }
  T element(Sum sum, const T* to) const {
    if (finish.addend) sum += Sum(finish.addend[to - y]);
    if (sum < finish.lowest) sum = finish.lowest;
    return T(sum > finish.highest ? finish.highest : sum);
  }

  // copy_out and transpose_out of RowKernels, finished.
  void copy_out(const RowKernels<T>& k, int64_t rows, int64_t columns, const Sum* in,
                int64_t in_row, T* out, int64_t out_row, int64_t ahead) const {
    if (finish.none) return k.copy_out(rows, columns, in, in_row, out, out_row, ahead);
    k.finish({rows, columns, in, in_row, out, out_row, at(out)});
  }
  void transpose_out(const RowKernels<T>& k, int64_t rows, int64_t columns, const Sum* in,
                     int64_t in_row, T* out, int64_t out_row) const {
    if (finish.none) return k.transpose_out(rows, columns, in, in_row, out, out_row);
    k.finish_transposed({rows, columns, in, in_row, out, out_row, at(out)});
  }

  // Finishes pixels of y that hold their sums: `channels` channels of `rows` x `columns` pixels from
  // `to` on. The elements of a row, or the channels of a pixel, are neighbours.
  void in_place(const RowKernels<T>& k, int64_t channels, int64_t rows, int64_t columns, T* to,
                const Strides& s) const {
    static_assert(!IS_WIDENED<T>, "a sum that is stored as a shorter type is rounded already");
    if (finish.none) return;
    const auto matrix = [&](int64_t count, int64_t row, int64_t step, T* from) {
      k.finish({count, row, from, step, from, step, at(from)});
    };
    const bool dense = s.h == columns * s.w;  // rows follow each other
    if (s.w == 1)
      for (int64_t c = 0; c < channels; ++c)
        dense ? matrix(1, rows * columns, 0, to + c * s.c)
              : matrix(rows, columns, s.h, to + c * s.c);
    else if (dense)
      matrix(rows * columns, channels, s.w, to);
    else
      for (int64_t r = 0; r < rows; ++r) matrix(columns, channels, s.w, to + r * s.h);
  }

 private:
  const T* y;
  Finish<T> finish;
};

}  // namespace fastconv::cpu
