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
constexpr int64_t SCATTER_CHANNELS_NCHW = 16;  // as many additions run at once

// Where codes lie from the first element of their window: its column, and the distance in pixels.
template <class Code>
class CodePlaces {
 public:
  explicit CodePlaces(const Pool2dShape& s) : shape(s) {
    for (int64_t code = 0; code < TABLED; ++code) {
      columns[code] = column_of(code);
      distances[code] = distance_of(code);
    }
  }
  // Bytes are looked up: a division costs more than all the rest of an index.
  int64_t column(Code code) const { return TABLED > 1 ? columns[code] : column_of(code); }
  int64_t distance(Code code) const { return TABLED > 1 ? distances[code] : distance_of(code); }

 private:
  static constexpr int64_t TABLED = sizeof(Code) == 1 ? 256 : 1;
  int64_t column_of(int64_t code) const { return code % shape.KW; }
  int64_t distance_of(int64_t code) const {
    return code / shape.KW * shape.dilation_h * shape.IW + code % shape.KW * shape.dilation_w;
  }
  const Pool2dShape& shape;
  int64_t columns[TABLED], distances[TABLED];
};

// Window elements [first, end) of one axis that are inside the image, for output o.
inline Window taps_inside(const PoolAxis& axis, int64_t o) {
  const Window inside = axis.window(o);
  const int64_t start = axis.start(o);
  if (axis.dilation == 1) return {inside.first - start, inside.end - start};  // without divisions
  return {(inside.first - start) / axis.dilation, ceil_div(inside.end - start, axis.dilation)};
}

// `count` channels of one output, `y_step` apart in grad_y and `x_step` apart in grad_x. Codes that
// forward does not give, of other taps than `rows` and `columns`, add nothing.
template <bool CLIPPED, class T, class Code>
void scatter_output(const CodePlaces<Code>& places, int64_t count, const T* grad_y,
                    const Code* codes, int64_t y_step, Window codes_inside, Window columns,
                    int64_t pixel, T* to, int64_t x_step) {
  const uint64_t many = static_cast<uint64_t>(codes_inside.end - codes_inside.first);
  for (int64_t c = 0; c < count; ++c, to += x_step) {
    const Code code = codes[c * y_step];
    if (static_cast<uint64_t>(code - codes_inside.first) >= many) continue;
    if (CLIPPED && (places.column(code) < columns.first || places.column(code) >= columns.end))
      continue;
    to[places.distance(code) * pixel] += grad_y[c * y_step];
  }
}

// `count` channels of one image.
template <bool CHANNELS_LAST, class T, class Code>
void scatter_channels(const Pool2dShape& s, const CodePlaces<Code>& places, const T* grad_y,
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
    const Window rows = taps_inside(s.vertical(), oh);
    const Window codes_inside{rows.first * s.KW, rows.end * s.KW};
    for (int64_t ow = 0; ow < s.OW; ++ow) {
      const Window columns = taps_inside(s.horizontal(), ow);
      const int64_t from = (oh * s.OW + ow) * pixel;
      T* to = grad_x + (s.row_start(oh) * s.IW + s.column_start(ow)) * pixel;
      if (columns.first == 0 && columns.end >= s.KW)
        scatter_output<false>(places, count, grad_y + from, codes + from, y_step, codes_inside,
                              columns, pixel, to, x_step);
      else
        scatter_output<true>(places, count, grad_y + from, codes + from, y_step, codes_inside,
                             columns, pixel, to, x_step);
    }
  }
}

template <class T, class Code>
void scatter_gradient(const Pool2dShape& s, const T* grad_y, const Code* codes, T* grad_x,
                      int threads) {
  const CodePlaces<Code> places(s);
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
