// The nanoseconds of each kind of work with two threads. Estimates of paths are sums of them
// (estimates.h). `python -m benchmarks.studies.paths --fit` fits them to measured times of random
// layers of every kind. Layer: cpu/paths.
//
// Measured on AVX2 (EPYC of the first generation, float32 and float64, wall time, 2026-11-28).
// Threads cut small layers evenly (even_cut in common/parallel.h), so a sum stands for any number of
// threads; work that few jobs share, such as packing weights, counts as it does with two. What a vector
// takes does not depend on its length there, so one column serves every element type. The choice
// compares paths with each other, so a machine that does everything twice as fast chooses alike.
#pragma once

#include "../../core/conv2d.h"

namespace fastconv::cpu {

struct Cost {
  const char* work;
  double nanoseconds;
};

// A slot is one multiply-add of a vector in a full register tile. A tile with fewer sums than a
// multiply-add has steps takes as many slots as there are steps.

namespace gemm_work {
enum {
  PRODUCT,
  SLOT,
  RESULT,
  WRITTEN,
  COPIED,
  COPY,
  ROW,
  PIECE,
  SECOND,
  GATHERED,
  PACKED,
  TURNED,
  GRAD_TURNED,
  ALTERNATE,
  FAR,
  EMPTY,
  WEIGHT_RUN,
  PAGE_WEIGHT,
  FAR_LINE,
  KINDS
};
}
constexpr Cost GEMM_COSTS[gemm_work::KINDS] = {
    {"product of a panel", 34.2},
    {"slot", 0.236},
    {"vector of results, for each chunk", 1.22},
    {"vector written", 1.1},
    {"vector of patches copied", 1.09},
    {"run of channels copied", 4.82},
    {"row of a panel begun", 4.63},
    {"piece of a row", 2.2},
    {"vector of every second pixel", 2.02},
    {"element gathered", 0.401},
    {"weight packed", 0.379},
    {"weight turned", 0.802},
    {"element of grad_y turned", 0.449},
    {"element of grad_x between others", 0.265},
    {"run of weights on a page of its own", 6.24},
    {"output of a phase without taps", 1.1},
    {"run of weights copied", 2.81},
    {"weight in place, rows pages apart", 0.0951},
    {"line of weights beyond L2", 0.578},
};

// Of a slot, where an instruction adds the products of two terms of bfloat16 (gemm/pairs). Not measured:
// no machine with AVX512_BF16 was at hand. It is the throughput that vendors state.
constexpr double PAIRED_SLOT = 0.5;

namespace small_map_work {
enum { PRODUCT, SLOT, RESULT, PACKED, TURNED, IN, FAR, FAR_LINE, APART, KINDS };
}
constexpr Cost SMALL_MAP_COSTS[small_map_work::KINDS] = {
    {"product", 32.3},
    {"slot", 0.289},
    {"vector of results, for each tap", 0.945},
    {"weight packed", 0.124},
    {"weight turned", 0.247},
    {"element of x turned", 1.26},
    {"output, images pages apart", 2.23},
    {"line of weights beyond L2", 2.09},
    {"output between others", 0.709},
};

namespace winograd_work {
enum {
  TILE_BLOCK,
  SLOT,
  IN,
  OUT,
  ROW,
  CHANNEL_BLOCK,
  CHANNEL_SLOT,
  CHANNEL_IN,
  CHANNEL_OUT,
  TURNED,
  FILTER,
  FILTER_READ,
  POINT,
  PIXEL,
  WEIGHT_IN,
  WEIGHT_OUT,
  KINDS
};
}
constexpr Cost WINOGRAD_COSTS[winograd_work::KINDS] = {
    {"block, lanes = tiles", 2000},
    {"slot, lanes = tiles", 0.282},
    {"vector of input points, lanes = tiles", 3.14},
    {"vector of output points, lanes = tiles", 3.55},
    {"row of tiles", 22},
    {"block, lanes = channels", 391},
    {"slot, lanes = channels", 0.229},
    {"vector of input points, lanes = channels", 1.74},
    {"vector of output points, lanes = channels", 2.14},
    {"element turned, lanes = channels", 7.75},
    {"vector of filter points", 1.11},
    {"weight read", 1.2},
    {"part of a point's sums", 262},
    {"pixel of a vector of channels", 4.47},
    {"vector of input points, backward_weight", 3.38},
    {"vector of output points, backward_weight", 1.54},
};

namespace direct_work {
enum {
  JOB,
  SLOT,
  TILE,
  BAND_COPIED,
  BAND_STRIDED,
  BAND_LINE,
  BAND_ROW,
  PACKED,
  GATHERED,
  TURNED,
  PARTIAL,
  SUM,
  GRAD_TURNED,
  GRAD_ROW,
  FAR_LINE,
  EMPTY,
  FAR_OUT,
  TURNED_LAST,
  READ_AGAIN,
  KINDS
};
}
constexpr Cost DIRECT_COSTS[direct_work::KINDS] = {
    {"band", 349},
    {"slot", 0.248},
    {"register tile", 21.3},
    {"pixel of a band copied", 0.304},
    {"pixel of a band, by a stride", 0.253},
    {"line of a band, channels inside", 3.8},
    {"row of a band", 5.01},
    {"weight packed", 0.465},
    {"weight gathered", 2.24},
    {"output turned", 0.857},
    {"vector of sums of a band", 0},
    {"vector of shares added", 0.57},
    {"element of grad_y turned", 0.144},
    {"pixel of grad_y copied", 3.18},
    {"line of weights beyond L2", 0.52},
    {"output of a phase without taps", 0.792},
    {"output between others, beyond L2", 0.129},
    {"output turned, channels inside", 0.593},
    {"line of weights beyond L2, read again", 0.0883},
};

namespace grouped_work {
enum {
  JOB,
  ROW,
  TILE,
  TAPS,
  LOOP,
  SLOT,
  PERMUTED,
  ANY,
  PAIR,
  PACKED,
  GATHERED,
  NARROW,
  MOVED,
  MOVED_ONE,
  SUM_CALL,
  SUM_TILE,
  SUM_SLOT,
  SUM_PERMUTED,
  SUM_ANY,
  FAR_LINE,
  KINDS
};
}
constexpr Cost GROUPED_COSTS[grouped_work::KINDS] = {
    {"job", 61.6},
    {"row of a phase", 5.3},
    {"register tile", 16.6},
    {"row of taps of a tile", 4.31},
    {"row of taps of a channel", 0.663},
    {"slot", 0.244},
    {"slot, by permutations", 0.211},
    {"slot, of any stride", 0.335},
    {"slot of a pair of vectors", 0.25},
    {"weight packed", 0.768},
    {"weight gathered", 1.29},
    {"vector of few channels turned", 19.9},
    {"element turned", 0.178},
    {"element copied", 0.652},
    {"sums of a band begun", 31.6},
    {"tile of sums", 4.13},
    {"slot of sums", 0.168},
    {"slot of sums, by permutations", 0.0835},
    {"slot of sums, of any stride", 0.205},
    {"line of weights beyond L2", 0.397},
};

// Beside the work of the small layers.
namespace dilated_work {
enum { COPIED, RUN, STRIDED, LAYER, KINDS };
}
constexpr Cost DILATED_COSTS[dilated_work::KINDS] = {
    {"element copied", 0},
    {"pixel copied", 5.5},
    {"element copied by a stride", 1.1},
    {"layer of small images", 33000},
};

// Loops in double, one multiply-add at a time: more than any other path takes.
constexpr Cost REFERENCE_COST = {"multiply-add", 10};

}  // namespace fastconv::cpu
