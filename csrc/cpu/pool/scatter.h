// The gradient of max pooling by scattering, for windows that overlap much and for adaptive ones:
//   grad_x[place of codes[oh,ow]] += grad_y[oh,ow], in the order of the outputs, as torch does
// Layer: cpu/pool, for drivers.
//
// A job is some NCHW planes, or some channels of one NHWC image, so no two threads write the same
// element.
#pragma once

#include <algorithm>

#include "../simd/stream.h"
#include "../simd/table.h"
#include "jobs.h"

namespace fastconv::cpu {

constexpr int64_t SCATTERED_BYTES =
    256 * 1024;                            // of planes that are scattered in turns: half of L2
constexpr int64_t SCATTER_CHANNELS = 256;  // of a job in NHWC: fewer read memory in short pieces

// Maps a code to its column in the window, and to its distance in elements from the first element of
// the window. Neighbouring pixels are `pixel_step` elements apart.
template <class Code>
class CodePlaces {
 public:
  CodePlaces(const Pool2dShape& s, int64_t pixel_step) : shape(s), pixel(pixel_step) {
    for (int64_t code = 0; code < TABLED; ++code) {
      columns[code] = column_of(code);
      distances[code] = distance_of(code);
    }
  }
  // Codes of one byte are looked up: a division would cost more than all the rest.
  int64_t column(Code code) const { return TABLED > 1 ? columns[code] : column_of(code); }
  int64_t distance(Code code) const { return TABLED > 1 ? distances[code] : distance_of(code); }

 private:
  static constexpr int64_t TABLED = sizeof(Code) == 1 ? 256 : 1;
  int64_t column_of(int64_t code) const { return code % shape.KW; }
  int64_t distance_of(int64_t code) const {
    return (code / shape.KW * shape.dilation_h * shape.IW + code % shape.KW * shape.dilation_w) *
           pixel;
  }
  const Pool2dShape& shape;
  int64_t pixel;
  int64_t columns[TABLED], distances[TABLED];
};

// indices[i] = the place in its plane that codes[i] stands for. The first window begins at `first`,
// each other one `step` elements later. PAST_CACHES: by non-temporal stores.
template <bool PAST_CACHES, class Code>
void place_outputs(const CodePlaces<Code>& places, int64_t count, const Code* __restrict__ codes,
                   int64_t first, int64_t step, int64_t* __restrict__ indices) {
  for (int64_t i = 0; i < count; ++i, first += step) {
    const int64_t place = first + places.distance(codes[i]);
    if constexpr (PAST_CACHES)
      stream_element(indices + i, place);
    else
      indices[i] = place;
  }
}

// Window elements [first, end) of one axis that are inside the image, for output o.
inline Window taps_inside(const PoolAxis& axis, int64_t o) {
  const int64_t start = axis.start(o);
  if (axis.dilation == 1 && !axis.adaptive)  // without divisions
    return {max64(0, -start), min64(axis.K, axis.I - start)};
  const Window inside = axis.window(o);
  return {(inside.first - start) / axis.dilation, ceil_div(inside.end - start, axis.dilation)};
}

// How far apart neighbouring planes are in grad_y and its codes, and in grad_x.
struct PlaneSteps {
  int64_t out, in;
};

// Adds `count` neighbours in grad_y of each of PLANES planes to the places of their codes. The first
// window begins at `to`, each other one `step` elements later. A code outside `codes_inside` or
// `columns` adds nothing. Neighbouring windows often have one maximum, so that a sum waits for the
// sum before it: sums of other planes fill the time.
template <bool CLIPPED, int PLANES, class T, class Code>
void scatter_outputs(const CodePlaces<Code>& places, int64_t count, const T* __restrict__ grad_y,
                     const Code* __restrict__ codes, Window codes_inside, Window columns,
                     SumOf<T>* __restrict__ to, int64_t step, PlaneSteps plane) {
  const uint64_t many = static_cast<uint64_t>(codes_inside.end - codes_inside.first);
  for (int64_t i = 0; i < count; ++i, to += step) {
#pragma GCC unroll 4
    for (int p = 0; p < PLANES; ++p) {
      const Code code = codes[i + p * plane.out];
      if (static_cast<uint64_t>(code - codes_inside.first) >= many) continue;
      if (CLIPPED && (places.column(code) < columns.first || places.column(code) >= columns.end))
        continue;
      to[places.distance(code) + p * plane.in] += grad_y[i + p * plane.out];
    }
  }
}

// Scatters `count` channels of an NHWC image. Pixels of grad_x are `pixel` elements apart.
template <class T, class Code>
void scatter_channels(const Pool2dShape& s, const CodePlaces<Code>& places, const T* grad_y,
                      const Code* codes, SumOf<T>* grad_x, int64_t pixel, int64_t count) {
  for (int64_t i = 0; i < s.IH * s.IW; ++i)
    std::fill(grad_x + i * pixel, grad_x + i * pixel + count, SumOf<T>(0));
  for (int64_t oh = 0; oh < s.OH; ++oh) {
    const Window rows = taps_inside(s.vertical(), oh);
    const Window codes_inside{rows.first * s.KW, rows.end * s.KW};
    for (int64_t ow = 0; ow < s.OW; ++ow) {
      const Window columns = taps_inside(s.horizontal(), ow);
      const int64_t from = (oh * s.OW + ow) * s.C;
      SumOf<T>* to = grad_x + (s.row_start(oh) * s.IW + s.column_start(ow)) * pixel;
      if (columns.first == 0 && columns.end >= s.KW)
        scatter_outputs<false, 1>(places, count, grad_y + from, codes + from, codes_inside, columns,
                                  to, 1, {});
      else
        scatter_outputs<true, 1>(places, count, grad_y + from, codes + from, codes_inside, columns,
                                 to, 1, {});
    }
  }
}

// PLANES planes of NCHW. The outputs of a row whose windows have all columns inside the image go together.
template <int PLANES, class T, class Code>
void scatter_planes(const Pool2dShape& s, const CodePlaces<Code>& places, const T* grad_y,
                    const Code* codes, SumOf<T>* grad_x) {
  const PlaneSteps plane{s.OH * s.OW, s.IH * s.IW};
  std::fill(grad_x, grad_x + PLANES * plane.in, SumOf<T>(0));
  const int64_t last_start = s.IW - 1 - (s.KW - 1) * s.dilation_w;  // of a window inside
  const Window whole{ceil_div(s.pad_w, s.stride_w),
                     last_start < 0 ? 0 : min64(s.OW, (last_start + s.pad_w) / s.stride_w + 1)};
  for (int64_t oh = 0; oh < s.OH; ++oh) {
    const Window rows = taps_inside(s.vertical(), oh);
    const Window codes_inside{rows.first * s.KW, rows.end * s.KW};
    for (int64_t ow = 0, many = 1; ow < s.OW; ow += many) {
      const int64_t from = oh * s.OW + ow;
      SumOf<T>* to = grad_x + s.row_start(oh) * s.IW + s.column_start(ow);
      const bool together = !s.adaptive && ow == whole.first && ow < whole.end;
      many = together ? whole.end - ow : 1;
      if (together)
        scatter_outputs<false, PLANES>(places, many, grad_y + from, codes + from, codes_inside,
                                       {0, s.KW}, to, s.stride_w, plane);
      else
        scatter_outputs<true, PLANES>(places, 1, grad_y + from, codes + from, codes_inside,
                                      taps_inside(s.horizontal(), ow), to, 0, plane);
    }
  }
}

// Returns the channels of a job in NHWC. If grad_x has 16 bits, the workspace holds the sums, and the
// channels are so few that their sums stay in L2.
template <class T>
int64_t scattered_channels(const Pool2dShape& s) {
  constexpr int64_t SUMS = 128 * 1024, LEAST = 16;
  if (!IS_WIDENED<T>) return SCATTER_CHANNELS;
  return clamp64(SUMS / max64(1, s.IH * s.IW) / LEAST * LEAST, LEAST, SCATTER_CHANNELS);
}
// Returns the sums in the workspace of a thread.
template <class T>
int64_t scattered_sums(const Pool2dShape& s) {
  if (!IS_WIDENED<T>) return 0;
  return round_up(s.IH * s.IW, 16) * (s.channels_last ? scattered_channels<T>(s) : 1);
}
template <class T>
int64_t scatter_workspace(const Pool2dShape& s, int threads) {
  return scattered_sums<T>(s) * int64_t(sizeof(SumOf<T>)) * pool_threads(s, threads);
}

template <class T, class Code>
void scatter_gradient(const Pool2dShape& s, const T* grad_y, const Code* codes, T* grad_x,
                      void* workspace, int threads) {
  const int64_t channels = scattered_channels<T>(s);
  const int64_t pixel = IS_WIDENED<T> ? channels : s.C;  // of sums
  const CodePlaces<Code> places(s, s.channels_last ? pixel : 1);
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW, planes = s.N * s.C;
  [[maybe_unused]] const auto& rows = row_kernels<T>(isa());
  const auto sums_of = [&](T* to, int thread) {
    if constexpr (IS_WIDENED<T>)
      return static_cast<SumOf<T>*>(workspace) + thread * scattered_sums<T>(s);
    else
      return to;
  };
  if (!s.channels_last) {
    constexpr int FOUR = 4;
    const bool fits = in * FOUR * int64_t(sizeof(SumOf<T>)) <= SCATTERED_BYTES;
    const int64_t together = fits ? round_up(max64(1, POOL_JOB_ELEMENTS / max64(1, in)), FOUR) : 1;
    parallel_jobs(pool_threads(s, threads), ceil_div(planes, together),
                  [&](int64_t job, int thread) {
                    int64_t p = job * together;
                    const int64_t end = min64(p + together, planes);
                    for (; !IS_WIDENED<T> && p + FOUR <= end; p += FOUR)
                      scatter_planes<FOUR>(s, places, grad_y + p * out, codes + p * out,
                                           sums_of(grad_x + p * in, thread));
                    for (; p < end; ++p) {
                      SumOf<T>* sums = sums_of(grad_x + p * in, thread);
                      scatter_planes<1>(s, places, grad_y + p * out, codes + p * out, sums);
                      if constexpr (IS_WIDENED<T>)
                        rows.copy_out(1, in, sums, 0, grad_x + p * in, 0, 0);
                    }
                  });
    return;
  }
  const int64_t blocks = ceil_div(s.C, channels);
  parallel_jobs(pool_threads(s, threads), s.N * blocks, [&](int64_t job, int thread) {
    const int64_t n = job / blocks, c = job % blocks * channels;
    const int64_t from = n * out * s.C + c, count = min64(channels, s.C - c);
    T* to = grad_x + n * in * s.C + c;
    SumOf<T>* sums = sums_of(to, thread);
    scatter_channels(s, places, grad_y + from, codes + from, sums, pixel, count);
    if constexpr (IS_WIDENED<T>) rows.copy_out(in, count, sums, pixel, to, s.C, 0);
  });
}

}  // namespace fastconv::cpu
