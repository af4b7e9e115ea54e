// The leaf kernels of grouped convolution, and the table of them that one instruction set provides.
// Lanes are output channels in every kernel. Layer: cpu/grouped.
#pragma once

#include <cstdint>

#include "../common/axis.h"
#include "../common/isa.h"

namespace fastconv::cpu {

// One output row, for neighbouring output channels m:
//   y[j][m] = start[m] + sum over a,b,c of w[a][b][c][m] * x[a][column(j, b)][input(m, c)]
// for all columns j, `rows` rows a, and `inputs` channels c of a group. column(j, b) is that of Axis; a
// tap outside the source is left out. input(m, c) is channel c of the group of m. All distances are in
// elements, and the channels of a pixel are neighbours.
template <class T>
struct GroupedRow {
  Axis columns;
  int64_t inputs;
  int64_t vectors;  // of output channels; the last may overlap the one before it
  int64_t last;     // the first channel of the last vector
  int64_t rows;
  const T* x;  // groups below a vector: as many channels as y; else: of the one group
  int64_t x_row, x_column;
  const T* w;  // of the first tap, input channel and vector
  int64_t w_vector, w_input, w_row, w_column;
  const T* start;  // [vectors][lanes]
  T* y;
  int64_t y_column;
};

// The sums over a band of output rows for one row of taps, neighbouring input channels of a group and
// one vector of output channels m:
//   sums[c][b][m] += sum over i,j of
//       grad_y[i][j][m] * x[first_row + i * row_stride][column(j, b)][input(m, c)]
// Taps outside of the source are left out.
template <class T>
struct GroupedSums {
  Axis columns;
  int64_t rows;
  int64_t source_rows, first_row, row_stride;
  const T* x;  // groups below a vector: of the first of the channels m; else: of the first c
  int64_t x_row, x_column;
  const T* grad_y;
  int64_t y_row, y_column;
  T* sums;  // neighbouring taps are a vector apart
  int64_t sums_input;
  T* bias_sum;  // += the sum of grad_y, or null
};

template <class T>
struct GroupedKernels {
  // How a lane gets its input. Several groups of 2, 4 or 8 channels share a vector: the vector of x is
  // permuted. The outputs of one group fill whole vectors: all lanes have the same input.
  static constexpr int KINDS = 4;
  static constexpr int SAME = 0;  // kind 1, 2, 3: groups of 2, 4, 8

  static constexpr int MOST_STRIDE = 2;
  static constexpr int MOST_TAPS = 3;  // of a tile of sums
  using Row = void (*)(const GroupedRow<T>&);
  using Sums = void (*)(const GroupedSums<T>&);
  struct Kind {
    Row row[MOST_STRIDE];  // [stride - 1], step 1
    Row any_row;           // every stride and step
    int inputs;            // of a tile of sums
    Sums sums[MOST_STRIDE][MOST_TAPS];
    Sums any_sums[MOST_TAPS];
    Sums sums_of_one[MOST_TAPS];  // of one input, every stride and step
  };
  Kind kinds[KINDS];
};

FASTCONV_TABLE(GroupedKernels, grouped_kernels)

}  // namespace fastconv::cpu
