// The gradient of max pooling by scattering, for windows that overlap much and for adaptive ones:
//   grad_x[place of codes[oh,ow]] += grad_y[oh,ow], outputs in their order, which is torch's
// Layer: cpu/pool, for drivers.
//
// A job is a few channels of one image, so no two threads meet, and additions to one place, each of
// which waits for the last, alternate with those of other channels.
#pragma once

#include <algorithm>

#include "jobs.h"

namespace fastconv::cpu {

constexpr int64_t SCATTER_CHANNELS_NHWC = 64;  // whole cache lines of a pixel
constexpr int64_t SCATTER_CHANNELS_NCHW = 8;   // as many additions run at once

// Where a code lies from the first element of its window.
template <class Code>
class CodeOffsets {
 public:
  struct Place {
    int64_t row, column, offset;
  };
  explicit CodeOffsets(const Pool2dShape& s) : shape(s) {
    for (int64_t code = 0; code < TABLED; ++code) table[code] = computed(code);
  }
  // Bytes are looked up: a division costs more than all the rest of an index.
  Place operator()(Code code) const {
    if constexpr (TABLED > 1)
      return table[code];
    else
      return computed(code);
  }

 private:
  static constexpr int64_t TABLED = sizeof(Code) == 1 ? 256 : 1;
  Place computed(int64_t code) const {
    const int64_t row = code / shape.KW * shape.dilation_h;
    const int64_t column = code % shape.KW * shape.dilation_w;
    return {row, column, row * shape.IW + column};
  }
  const Pool2dShape& shape;
  Place table[TABLED];
};

// `count` channels whose elements are `step` apart in a pixel.
template <bool CHANNELS_LAST, class T, class Code>
void scatter_channels(const Pool2dShape& s, const CodeOffsets<Code>& places, const T* grad_y,
                      const Code* codes, T* grad_x, int64_t count) {
  const int64_t pixel = CHANNELS_LAST ? s.C : 1;
  const int64_t y_step = CHANNELS_LAST ? 1 : s.OH * s.OW;
  const int64_t x_step = CHANNELS_LAST ? 1 : s.IH * s.IW;
  if (CHANNELS_LAST)
    for (int64_t i = 0; i < s.IH * s.IW; ++i)
      std::fill(grad_x + i * pixel, grad_x + i * pixel + count, T(0));
  else
    std::fill(grad_x, grad_x + count * x_step, T(0));
  for (int64_t oh = 0; oh < s.OH; ++oh) {
    const int64_t h = s.row_start(oh), rows = s.rows(oh).end - h;
    for (int64_t ow = 0; ow < s.OW; ++ow) {
      const int64_t w = s.column_start(ow), columns = s.columns(ow).end - w;
      const int64_t first_row = max64(0, -h), first_column = max64(0, -w);
      const uint64_t high = static_cast<uint64_t>(rows - first_row);
      const uint64_t wide = static_cast<uint64_t>(columns - first_column);
      const int64_t from = (oh * s.OW + ow) * pixel;
      T* to = grad_x + (h * s.IW + w) * pixel;
      for (int64_t c = 0; c < count; ++c) {
        const auto place = places(codes[from + c * y_step]);
        // Codes that forward does not give lie elsewhere.
        if (static_cast<uint64_t>(place.row - first_row) >= high ||
            static_cast<uint64_t>(place.column - first_column) >= wide)
          continue;
        to[place.offset * pixel + c * x_step] += grad_y[from + c * y_step];
      }
    }
  }
}

template <class T, class Code>
void scatter_gradient(const Pool2dShape& s, const T* grad_y, const Code* codes, T* grad_x,
                      int threads) {
  const CodeOffsets<Code> places(s);
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  const int64_t block = s.channels_last ? SCATTER_CHANNELS_NHWC : SCATTER_CHANNELS_NCHW;
  const int64_t lines = s.channels_last ? s.N : 1, channels = s.channels_last ? s.C : s.N * s.C;
  const int64_t blocks = ceil_div(channels, block);
  parallel_jobs(pool_threads(s, threads), lines * blocks, [&](int64_t job, int) {
    const int64_t n = job / blocks, c = job % blocks * block;
    const int64_t count = min64(block, channels - c);
    if (s.channels_last)
      scatter_channels<true>(s, places, grad_y + n * out * s.C + c, codes + n * out * s.C + c,
                             grad_x + n * in * s.C + c, count);
    else
      scatter_channels<false>(s, places, grad_y + c * out, codes + c * out, grad_x + c * in, count);
  });
}

}  // namespace fastconv::cpu
