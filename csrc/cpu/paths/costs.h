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
  FAR_TURNED,
  KINDS
};
}
constexpr Cost GEMM_COSTS[gemm_work::KINDS] = {
    {"correlation", 38.9},
    {"product of a panel", 66.9},
    {"slot", 0.46},
    {"vector of results, for each chunk", 2.66},
    {"vector written", 2.75},
    {"vector of patches copied", 2.31},
    {"run of channels copied", 7.36},
    {"row of a panel begun", 9.19},
    {"piece of a row", 3.67},
    {"vector of every second pixel", 4.76},
    {"element gathered", 0.878},
    {"weight packed", 0.366},
    {"weight turned", 0.203},
    {"element of grad_y turned", 0.55},
    {"element of grad_x between others", 0.379},
    {"run of weights on a page of its own", 5.72},
    {"output of a phase without taps", 1.22},
    {"run of weights copied", 1.68},
    {"weight in place, rows pages apart", 0.27},
    {"weight turned, beyond L2", 0.823},
};

namespace small_map_work {
enum { CALL, PRODUCT, SLOT, RESULT, PACKED, TURNED, IN, FAR, BEGUN, FAR_TURNED, KINDS };
}
constexpr Cost SMALL_MAP_COSTS[small_map_work::KINDS] = {
    {"correlation", 1140},
    {"product", 44.4},
    {"slot", 0.608},
    {"vector of results, for each tap", 1.73},
    {"weight packed", 0.431},
    {"weight turned", 0.322},
    {"element of x turned", 0.314},
    {"output, images pages apart", 4.33},
    {"output begun with a bias", 6.18},
    {"weight turned, beyond L2", 0.775},
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
    {"block, lanes = tiles", 2730},
    {"slot, lanes = tiles", 0.557},
    {"vector of input points, lanes = tiles", 6.06},
    {"vector of output points, lanes = tiles", 6.63},
    {"row of tiles", 18},
    {"block, lanes = channels", 1610},
    {"slot, lanes = channels", 0.67},
    {"vector of input points, lanes = channels", 3.41},
    {"vector of output points, lanes = channels", 2.98},
    {"element turned, lanes = channels", 4.02},
    {"vector of filter points", 2.95},
    {"weight read", 0.686},
    {"part of a point's sums", 76.9},
    {"pixel of a vector of channels", 6.23},
    {"vector of input points, backward_weight", 7.82},
    {"vector of output points, backward_weight", 3.51},
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
  TURNED_LAST,
  KINDS
};
}
constexpr Cost DIRECT_COSTS[direct_work::KINDS] = {
    {"band", 526},
    {"slot", 0.49},
    {"register tile", 47.7},
    {"pixel of a band copied", 0.545},
    {"pixel of a band, by a stride", 1.12},
    {"line of a band, channels inside", 8.25},
    {"row of a band", 9.73},
    {"weight packed", 0.381},
    {"weight gathered", 1.28},
    {"output turned", 1.51},
    {"vector of sums of a band", 0.236},
    {"vector of shares added", 0.831},
    {"element of grad_y turned", 0.0834},
    {"pixel of grad_y copied", 4.1},
    {"weight packed, beyond L2", 0.0806},
    {"output of a phase without taps", 0.994},
    {"output between others, beyond L2", 0.247},
    {"output turned, channels inside", 1.17},
};

// Loops in double, one multiply-add at a time: more than any other path takes.
constexpr Cost REFERENCE_COST = {"multiply-add", 20};

}  // namespace fastconv::cpu
