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
  FAR_WEIGHT,
  KINDS
};
}
constexpr Cost GEMM_COSTS[gemm_work::KINDS] = {
    {"correlation", 613},
    {"product of a panel", 148},
    {"slot", 0.465},
    {"vector of results, for each chunk", 3.37},
    {"vector written", 0.856},
    {"vector of patches copied", 2.19},
    {"run of channels copied", 7.43},
    {"row of a panel begun", 8.85},
    {"piece of a row", 3.53},
    {"vector of every second pixel", 4.41},
    {"element gathered", 0.814},
    {"weight packed", 0.297},
    {"weight turned", 0.289},
    {"element of grad_y turned", 0.479},
    {"element of grad_x between others", 0.326},
    {"run of weights on a page of its own", 4.95},
    {"output of a phase without taps", 1.5},
    {"run of weights copied", 2.38},
    {"weight in place, rows pages apart", 0.279},
    {"weight beyond L2", 0.0325},
};

namespace small_map_work {
enum { CALL, PRODUCT, SLOT, RESULT, PACKED, TURNED, IN, FAR, BEGUN, KINDS };
}
constexpr Cost SMALL_MAP_COSTS[small_map_work::KINDS] = {
    {"correlation", 300},
    {"product", 43.2},
    {"slot", 0.604},
    {"vector of results, for each tap", 2.04},
    {"weight packed", 0.393},
    {"weight turned", 0.473},
    {"element of x turned", 0.474},
    {"element of y far from the last", 0.852},
    {"output begun with a bias", 6.56},
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
  KINDS
};
}
constexpr Cost WINOGRAD_COSTS[winograd_work::KINDS] = {
    {"block, lanes = tiles", 3.63e+03},
    {"slot, lanes = tiles", 0.605},
    {"vector of input points, lanes = tiles", 6.52},
    {"vector of output points, lanes = tiles", 4.7},
    {"row of tiles", 19.4},
    {"block, lanes = channels", 1.65e+03},
    {"slot, lanes = channels", 0.68},
    {"vector of input points, lanes = channels", 3.43},
    {"vector of output points, lanes = channels", 3.03},
    {"element turned, lanes = channels", 3.9},
    {"vector of filter points", 2.93},
    {"weight read", 0.63},
    {"part of a point's sums", 78.5},
    {"pixel of a vector of channels", 6.08},
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
  FAR_WEIGHT,
  EMPTY,
  FAR_OUT,
  KINDS
};
}
constexpr Cost DIRECT_COSTS[direct_work::KINDS] = {
    {"band", 527},
    {"slot", 0.49},
    {"register tile", 47.5},
    {"pixel of a band copied", 0.552},
    {"pixel of a band, by a stride", 1.13},
    {"line of a band, channels inside", 7.81},
    {"row of a band", 9.82},
    {"weight packed", 0.357},
    {"weight gathered", 1.24},
    {"output turned", 1.4},
    {"vector of sums of a band", 0.253},
    {"vector of shares added", 0.882},
    {"element of grad_y turned", 0.0783},
    {"pixel of grad_y copied", 4.63},
    {"weight packed, beyond L2", 0.124},
    {"output of a phase without taps", 0.91},
    {"output between others, beyond L2", 0.37},
};

// Loops in double, one multiply-add at a time: more than any other path takes.
constexpr Cost REFERENCE_COST = {"multiply-add", 20};

}  // namespace fastconv::cpu
