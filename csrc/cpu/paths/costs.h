// The nanoseconds of each kind of work with one thread. Estimates of paths are sums of them
// (estimates.h). `python -m benchmarks.studies.paths --fit` fits them to measured times of random
// layers of every kind. Layer: cpu/paths.
//
// Measured on AVX2 (EPYC of the first generation, float32 and float64, 2026-11-28). What a vector
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
    {"product of a panel", 68.3},
    {"slot", 0.458},
    {"vector of results, for each chunk", 2.38},
    {"vector written", 2.95},
    {"vector of patches copied", 2.42},
    {"run of channels copied", 9.08},
    {"row of a panel begun", 9.55},
    {"piece of a row", 3.38},
    {"vector of every second pixel", 4.66},
    {"element gathered", 0.875},
    {"weight packed", 0.341},
    {"weight turned", 0.271},
    {"element of grad_y turned", 0.582},
    {"element of grad_x between others", 0.321},
    {"run of weights on a page of its own", 24.8},
    {"output of a phase without taps", 1.19},
    {"run of weights copied", 2.96},
    {"weight in place, rows pages apart", 0.051},
    {"line of weights beyond L2", 2.23},
};

// Of a slot, where an instruction adds the products of two terms of bfloat16 (gemm/pairs). Not measured:
// no machine with AVX512_BF16 was at hand. It is the throughput that vendors state.
constexpr double PAIRED_SLOT = 0.5;

namespace small_map_work {
enum { PRODUCT, SLOT, RESULT, PACKED, TURNED, IN, FAR, BEGUN, FAR_LINE, APART, KINDS };
}
constexpr Cost SMALL_MAP_COSTS[small_map_work::KINDS] = {
    {"product", 49.5},
    {"slot", 0.605},
    {"vector of results, for each tap", 1.71},
    {"weight packed", 0.53},
    {"weight turned", 0.328},
    {"element of x turned", 0.149},
    {"output, images pages apart", 0.0615},
    {"output begun with a bias", 6.17},
    {"line of weights beyond L2", 3.95},
    {"output between others", 1.3},
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
    {"block, lanes = tiles", 2760},
    {"slot, lanes = tiles", 0.496},
    {"vector of input points, lanes = tiles", 5.92},
    {"vector of output points, lanes = tiles", 6.92},
    {"row of tiles", 15.9},
    {"block, lanes = channels", 917},
    {"slot, lanes = channels", 0.573},
    {"vector of input points, lanes = channels", 2.11},
    {"vector of output points, lanes = channels", 3.8},
    {"element turned, lanes = channels", 5.73},
    {"vector of filter points", 3.08},
    {"weight read", 0.778},
    {"part of a point's sums", 59.6},
    {"pixel of a vector of channels", 7.9},
    {"vector of input points, backward_weight", 8.07},
    {"vector of output points, backward_weight", 4.39},
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
    {"band", 605},
    {"slot", 0.502},
    {"register tile", 44.7},
    {"pixel of a band copied", 0.627},
    {"pixel of a band, by a stride", 1.12},
    {"line of a band, channels inside", 9},
    {"row of a band", 9.5},
    {"weight packed", 0.233},
    {"weight gathered", 1.06},
    {"output turned", 1.31},
    {"vector of sums of a band", 0.0249},
    {"vector of shares added", 1.08},
    {"element of grad_y turned", 0.102},
    {"pixel of grad_y copied", 4.06},
    {"line of weights beyond L2", 3},
    {"output of a phase without taps", 1.26},
    {"output between others, beyond L2", 0.126},
    {"output turned, channels inside", 0.914},
    {"line of weights beyond L2, read again", 0.748},
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
    {"job", 15.3},
    {"row of a phase", 19.8},
    {"register tile", 25.5},
    {"row of taps of a tile", 7.45},
    {"row of taps of a channel", 1.58},
    {"slot", 0.444},
    {"slot, by permutations", 0.485},
    {"slot, of any stride", 0.605},
    {"slot of a pair of vectors", 0.518},
    {"weight packed", 0.169},
    {"weight gathered", 1.47},
    {"vector of few channels turned", 77.6},
    {"element turned", 0.311},
    {"element copied", 1.35},
    {"sums of a band begun", 62},
    {"tile of sums", 6.21},
    {"slot of sums", 0.386},
    {"slot of sums, by permutations", 0.457},
    {"slot of sums, of any stride", 0.432},
    {"line of weights beyond L2", 3.3},
};

// Loops in double, one multiply-add at a time: more than any other path takes.
constexpr Cost REFERENCE_COST = {"multiply-add", 20};

}  // namespace fastconv::cpu
