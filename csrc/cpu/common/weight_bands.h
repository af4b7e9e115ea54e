// How backward_weight divides its sums over images and output rows into shares and bands. Layer: cpu,
// for drivers.
#pragma once

#include <cstdint>

#include "../../core/shape.h"
#include "axis.h"
#include "workspace.h"

namespace fastconv::cpu {

// Each share has sums of its own. They are added in the order of the shares, so the bits do not depend
// on the number of threads.
constexpr int64_t WEIGHT_JOBS = 16;  // enough for the threads of a desktop to share evenly
constexpr int64_t PARTIAL_BYTES = 32 * 1024 * 1024;  // of the sums of all shares

// Returns into how many shares `units` are divided if `wanted` are useful; `bytes`: of the sums of one.
constexpr int64_t shares_of(int64_t units, int64_t wanted, int64_t bytes) {
  return clamp64(wanted, 1, max64(1, min64(units, PARTIAL_BYTES / max64(1, bytes))));
}

constexpr int64_t BAND_PIXELS = 1024;  // of a sum in registers, or one row: bounds its rounding

// Output rows [begin, end) of image n. They read the rows `source` of x. The first tap of row `begin`
// reads row `top`, which may lie above the image.
struct WeightBand {
  int64_t n, begin, end, top;
  Window source;

  int64_t rows() const { return end - begin; }
  int64_t source_rows() const { return source.end - source.first; }
};

// The bands of all images, for leaf kernels that sum one vector of channels over a band.
struct WeightBands {
  const Conv2dShape& s;
  int64_t rows;      // output rows of a band
  int64_t of_image;  // bands
  int64_t count;

  WeightBands(const Conv2dShape& shape, int64_t vector_bytes) : s(shape) {
    constexpr int64_t BAND_BYTES = 24 * 1024;  // of a vector's lines: most of a 32 KiB L1
    constexpr int64_t LEAST_ROWS = 4;
    const int64_t row = (s.IW * s.stride_h + s.OW()) * max64(CACHE_LINE, vector_bytes);
    const int64_t most = min64(max64(LEAST_ROWS, BAND_BYTES / row), max64(1, BAND_PIXELS / s.OW()));
    rows = min64(s.OH(), most);
    of_image = ceil_div(s.OH(), rows);
    count = s.N * of_image;
  }
  WeightBand operator[](int64_t i) const {
    const int64_t begin = i % of_image * rows, end = min64(begin + rows, s.OH());
    const int64_t top = begin * s.stride_h - s.pad_top;
    const int64_t bottom = top + (end - 1 - begin) * s.stride_h + (s.KH - 1) * s.dilation_h + 1;
    return {i / of_image, begin, end, top, {clamp64(top, 0, s.IH), clamp64(bottom, 0, s.IH)}};
  }
};

}  // namespace fastconv::cpu
