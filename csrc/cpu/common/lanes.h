// Moves channels into lanes and back. The leaf kernels need the channels of a pixel as neighbours,
// and at least a vector of channels. Tensors of this form are used in place. Bands of other tensors
// are packed as [pixel][width] with `width` channels, one for each lane. Layer: cpu, for drivers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../../core/shape.h"
#include "../simd/table.h"
#include "finish.h"

namespace fastconv::cpu {

// The channels of a tensor that lanes hold: channel `first` + lane * `step` for lanes below `count`.
struct LaneChannels {
  int64_t first, step, count;
};

// packed[pixel][lane] = from[channel][pixel] for the pixels of `rows` rows. Lanes without a channel
// are not written.
template <class T>
void pack_lanes(const RowKernels<T>& k, const T* image, const Strides& s, LaneChannels lanes,
                int64_t row, int64_t rows, int64_t columns, SumOf<T>* packed, int64_t width) {
  const T* from = image + lanes.first * s.c + row * s.h;
  if (s.w == 1)
    return k.transpose_in(lanes.count, rows * columns, from, lanes.step * s.c, packed, width);
  if (lanes.step * s.c == 1)
    return k.copy_in(rows * columns, lanes.count, from, s.w, packed, width, 0);
  for (int64_t pixel = 0; pixel < rows * columns; ++pixel)
    for (int64_t lane = 0; lane < lanes.count; ++lane)
      packed[pixel * width + lane] = from[pixel * s.w + lane * lanes.step * s.c];
}

// The reverse, finished.
template <class T>
void unpack_lanes(const RowKernels<T>& k, const SumOf<T>* packed, int64_t width, LaneChannels lanes,
                  int64_t row, int64_t rows, int64_t columns, const Finishing<T>& finishing,
                  T* image, const Strides& s) {
  T* to = image + lanes.first * s.c + row * s.h;
  if (s.w == 1)
    return finishing.transpose_out(k, rows * columns, lanes.count, packed, width, to,
                                   lanes.step * s.c);
  if (lanes.step * s.c == 1)
    return finishing.copy_out(k, rows * columns, lanes.count, packed, width, to, s.w, 0);
  for (int64_t pixel = 0; pixel < rows * columns; ++pixel)
    for (int64_t lane = 0; lane < lanes.count; ++lane) {
      T* at = to + pixel * s.w + lane * lanes.step * s.c;
      *at = finishing.element(packed[pixel * width + lane], at);
    }
}

// How the groups of a convolution are dealt to vectors of lanes. The last vector overlaps the one
// before it. With fewer groups than lanes there is one vector, and its other lanes hold zeros.
struct GroupVectors {
  int64_t groups, lanes;

  constexpr int64_t count() const { return ceil_div(groups, lanes); }
  constexpr int64_t first(int64_t vector) const {
    return max64(0, min64(vector * lanes, groups - lanes));
  }
  constexpr int64_t used() const { return min64(groups, lanes); }
  constexpr int64_t padded() const { return round_up(groups, lanes); }
};

}  // namespace fastconv::cpu
