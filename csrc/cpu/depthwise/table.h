// The leaf kernels of depthwise convolution, and the table of them that one instruction set
// provides. Lanes are channels in every kernel. Layer: cpu/depthwise.
#pragma once

#include <cstdint>

#include "../common/isa.h"
#include "../simd/table.h"

namespace fastconv::cpu {

// How the columns of a row are read: output j, tap b reads column j * stride + first + b * step, and
// leaves the tap out if that is not in [0, source).
struct DepthwiseColumns {
  int64_t outputs, source;
  int64_t stride, first;
  int64_t taps, step;
};

// One output row:
//   y[j][c] = finish(start[j][c] + sum over a,b of w[a][b][c] * x[a][column(j, b)][c])
// for all columns j, `rows` rows a, and `channels` channels c, at least a vector of them. All
// distances are in elements, and channels are neighbours. x and y are stored as T, the rest is what the
// driver has packed.
template <class T>
struct DepthwiseRow {
  using Sum = SumOf<T>;
  DepthwiseColumns columns;
  int64_t channels;
  int64_t rows;
  const T* x;
  int64_t x_row, x_column;
  const Sum* w;
  int64_t w_row, w_column;
  const Sum* start;
  int64_t start_column;  // 0: the same for every column
  T* y;
  int64_t y_column;
  Finish<T> finish;          // beside y
  bool past_caches;          // non-temporal stores; y and y_column are aligned to the vector
  int64_t x_ahead, y_ahead;  // distances to what is prefetched while the row runs; 0: nothing is
};

// Output rows [begin, end) of one NCHW plane, stride 1:
//   y[i][j] = finish(bias + sum over a,b of w[a * w_row + b * w_column] *
//                                           x[i + first_row + a][j + first_column + b])
// Lanes are neighbouring columns. There are at least `plane_rows` output rows, the last of which are
// written if `end` is within a tile. OW may be below a vector; then the whole plane is written.
// An image of C channels (channels_last) is such a plane, too: IW, OW and first_column count its
// elements, tap b is b * C elements to the right, and w[...] and bias are rows in which the values of
// the C channels repeat, for at least a vector after each channel.
template <class T>
struct DepthwisePlane {
  using Sum = SumOf<T>;
  int64_t IH, IW, OH, OW, KH, KW;
  int64_t x_column;  // elements between neighbouring taps: 1, or C
  int64_t first_row, first_column;
  int64_t begin, end;
  const T* x;
  const Sum* w;
  int64_t w_row, w_column;
  const Sum* bias;
  T* y;
  Finish<T> finish;     // beside y
  bool between_planes;  // there are planes of the tensor before and after x
  int64_t ahead;        // rows to what is prefetched; 0: nothing is
};

// The sums over a band of output rows for some rows of taps and one vector of channels:
//   sums[a][b] += sum over i,j of grad_y[i][j] * x[first_row + i * row_stride + a * row_step]
//                                                 [column(j, b)]
// Taps whose row is not in [0, source_rows), or whose column is outside, are left out.
template <class T>
struct DepthwiseSums {
  using Sum = SumOf<T>;
  DepthwiseColumns columns;
  int64_t rows;
  int64_t source_rows, first_row, row_stride, row_step;
  const T* x;
  int64_t x_row, x_column;
  const T* grad_y;
  int64_t y_row, y_column;
  Sum* sums;  // neighbouring taps are a vector apart
  int64_t sums_row;
  Sum* bias_sum;  // += the sum of grad_y, or null
  int64_t x_ahead, y_ahead;
};

// The sums over rows [begin, end) of grad_y of one plane, stride 1, a vector for each tap:
//   sums[n] += sum over i, j of grad_y[i][j] * x[i + row[n]][j + column[n]]
// for j = first, first + step, ... A vector of j is LANES neighbouring columns. What is outside of the
// planes is left out. OW, IW and columns count elements, as in DepthwisePlane.
template <class T>
struct DepthwisePlaneSums {
  static constexpr int MOST_TAPS = 12;
  using Sum = SumOf<T>;
  int64_t IH, IW, OW;
  int64_t begin, end, first, step;
  const T *x, *grad_y;
  int taps;
  int64_t row[MOST_TAPS], column[MOST_TAPS];
  Sum* sums;
  Sum* bias_sum;  // a vector: += grad_y; or null
};

// All null: there are none for T on this instruction set, and bands are packed.
template <class T>
struct DepthwiseKernels {
  // There are register tiles for neighbouring taps (step 1) with these strides and taps in a row.
  static constexpr int MOST_STRIDE = 2, MOST_TAPS = 7;
  using Row = void (*)(const DepthwiseRow<T>&);
  using Sums = void (*)(const DepthwiseSums<T>&);

  Row row[MOST_STRIDE][MOST_TAPS];  // [stride - 1][taps - 1]; null: there is none
  Row any_row;                      // every stride, step and number of taps

  int plane_rows;  // of a register tile
  using Plane = void (*)(const DepthwisePlane<T>&);
  Plane plane[MOST_TAPS];       // [KH - 1]; null: there is none
  Plane any_plane, flat_plane;  // every KH; an image of C channels, every KH

  // A filter is split into tiles of taps: of some taps in a row, and of one row or of `tap_rows`.
  int tap_rows[MOST_TAPS];  // [taps - 1]; 0: there is no tile
  struct SumsOfRows {
    Sums one, most;
  };
  SumsOfRows sums[MOST_STRIDE][MOST_TAPS];
  Sums any_sums[MOST_TAPS];  // every stride and step, one row of taps
  void (*plane_sums)(const DepthwisePlaneSums<T>&);
};

FASTCONV_TABLE(DepthwiseKernels, depthwise_kernels)

}  // namespace fastconv::cpu
