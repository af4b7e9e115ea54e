// The time of each kind of work, from which the paths are estimated (estimates.h): nanoseconds of
// one thread, fitted by `python -m benchmarks.studies.paths --fit` to the measured times of random
// layers of every kind. Layer: cpu/paths.
//
// Measured on AVX2 (EPYC of the first generation, float32 and float64, 2026-11-28). What a vector
// takes does not depend on its length there, so one column serves every element type. The choice
// compares paths with each other: on a machine that is twice as fast in everything it is the same.
#pragma once

#include "../../core/conv2d.h"

namespace fastconv::cpu {

struct Cost {
  const char* work;
  double nanoseconds;
};

// A slot is one multiply-add of a vector in a full register tile. Tiles with fewer sums than a
// multiply-add has steps take as many slots as those.

namespace gemm_work {
enum {
  CALL,
  JOB,
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
  GRAD_ROW,
  ALTERNATE,
  SUM,
  FAR,
  EMPTY,
  KINDS
};
}
constexpr Cost GEMM_COSTS[gemm_work::KINDS] = {
    {"correlation", 500},
    {"block of pixels", 600},
    {"product of a panel", 25},
    {"slot", 0.46},
    {"vector of results, for each chunk", 3},
    {"vector written", 1.7},
    {"vector of patches copied", 2.4},
    {"run of channels copied", 5.7},
    {"row of a panel begun", 9.6},
    {"piece of a row", 3.4},
    {"vector of every second pixel", 6.6},
    {"element gathered", 1},
    {"weight packed", 0.36},
    {"weight turned", 0.34},
    {"element of grad_y turned", 0.48},
    {"pixel of grad_y copied", 11},
    {"element of grad_x between others", 0.4},
    {"vector of slices added", 0.3},
    {"run of weights on a page of its own", 7},
    {"output of a phase without taps", 1},
};

namespace small_map_work {
enum { CALL, VISIT, PRODUCT, SLOT, RESULT, PACKED, TURNED, IN, OUT, FAR, KINDS };
}
constexpr Cost SMALL_MAP_COSTS[small_map_work::KINDS] = {
    {"correlation", 1000},
    {"tap looked at", 5},
    {"product", 43},
    {"slot", 0.6},
    {"vector of results, for each tap", 2},
    {"weight packed", 0.3},
    {"weight turned", 0.3},
    {"element of x turned", 0.5},
    {"element of y turned", 0.9},
    {"element of y far from the last", 5},
};

namespace winograd_work {
enum {
  GROUP,
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
  KINDS
};
}
constexpr Cost WINOGRAD_COSTS[winograd_work::KINDS] = {
    {"group", 700},
    {"block, lanes = tiles", 2500},
    {"slot, lanes = tiles", 0.58},
    {"vector of input points, lanes = tiles", 6.4},
    {"vector of output points, lanes = tiles", 5},
    {"row of tiles", 29},
    {"block, lanes = channels", 1100},
    {"slot, lanes = channels", 0.6},
    {"vector of input points, lanes = channels", 7.8},
    {"vector of output points, lanes = channels", 5.4},
    {"element turned, lanes = channels", 0.3},
    {"vector of filter points", 4.6},
    {"weight read", 0.3},
    {"part of a point's sums", 47},
};

namespace direct_work {
enum {
  CALL,
  JOB,
  SLOT,
  TILE,
  BAND_COPIED,
  BAND_STRIDED,
  BAND_LINE,
  BAND_TURNED,
  BAND_ROW,
  PACKED,
  GATHERED,
  TURNED,
  WRITTEN,
  PARTIAL,
  SUM,
  GRAD_TURNED,
  GRAD_ROW,
  PIXEL_ROW,
  FAR_WEIGHT,
  EMPTY,
  KINDS
};
}
constexpr Cost DIRECT_COSTS[direct_work::KINDS] = {
    {"correlation", 100},
    {"band", 620},
    {"slot", 0.5},
    {"register tile", 48},
    {"pixel of a band copied", 0.43},
    {"pixel of a band, by a stride", 1.1},
    {"line of a band, channels inside", 2},
    {"pixel of a band, channels inside", 0.44},
    {"row of a band", 9.6},
    {"weight packed", 0.6},
    {"weight gathered", 1},
    {"output turned", 0.6},
    {"vector written", 0.5},
    {"vector of sums of a band", 0.5},
    {"vector of shares added", 1.5},
    {"element of grad_y turned", 0.1},
    {"pixel of grad_y copied", 8},
    {"row of pixels of a tile", 2},
    {"weight packed, beyond L2", 1},
    {"output of a phase without taps", 1},
};

// Loops in double, one multiply-add at a time: more than any other path takes.
constexpr Cost REFERENCE_COST = {"multiply-add", 20};

}  // namespace fastconv::cpu
