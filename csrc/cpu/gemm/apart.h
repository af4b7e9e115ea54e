// backward_input of filters that do not overlap: at most one tap reaches an element of grad_x.
//   sum[m][p] = sum over oc of w[oc][m] * grad_y[oc][p]        m: the weights of an output channel
//   grad_x[n, ic, oh*stride_h + kh*dilation_h - pad_top, ow*...] = sum[m][p],  p = (n, oh, ow)
// and 0 where no tap reaches. Layer: cpu/gemm, for its driver.
#pragma once

#include <cstring>

#include "../common/correlation.h"
#include "patches.h"
#include "schedule.h"

namespace fastconv::cpu {

// The rows (columns) of grad_x in cells, one for each row (column) of grad_y. The first and the last
// cell reach to the edges of the image.
struct Cells {
  Axis axis;

  constexpr int64_t at(int64_t o, int64_t k) const {
    return o * axis.stride + axis.first + k * axis.step;
  }
  constexpr int64_t begin(int64_t o) const {
    return o == 0 ? 0 : clamp64(at(o, 0), 0, axis.source);
  }
  constexpr int64_t end(int64_t o) const {
    return o + 1 == axis.outputs ? axis.source : begin(o + 1);
  }
  // The cells that lie inside the image as a whole, of one stride each.
  constexpr Window whole() const {
    const int64_t first = ceil_div(-axis.first, axis.stride);
    return {first, max64(first, min64(axis.outputs, (axis.source - axis.first) / axis.stride))};
  }
  constexpr bool apart() const { return (axis.taps - 1) * axis.step < axis.stride; }
  // The tap that reaches a row of cell o, or -1.
  constexpr int64_t tap(int64_t row, int64_t o) const {
    const int64_t from = row - at(o, 0);
    if (from < 0 || from > (axis.taps - 1) * axis.step) return -1;
    return axis.step == 1 ? from : from % axis.step == 0 ? from / axis.step : -1;
  }
  // Whether a row is out of the reach of all taps.
  constexpr bool has_gaps() const {
    int64_t reached = 0;
    for (int64_t k = 0; k < axis.taps; ++k) {
      const Window seen = inside(axis, k);
      reached += seen.end - seen.first;
    }
    return reached < axis.source;
  }
};

// Shares of M, with channel lanes, may not cut a cell in which zeros are written: one job has all.
constexpr int64_t MOST_OF_CELL = 2048;  // c of this job: 1.5 MiB of float
constexpr bool in_one_share(const Conv2dShape& s) {
  return s.x_channels_last && s.KH * s.KW > 1 &&
         (Cells{rows_axis(s)}.has_gaps() || Cells{columns_axis(s)}.has_gaps());
}

// Whether one product computes all phases. Weights lie in the order of the elements of a cell.
constexpr bool filters_apart(const Conv2dShape& s) {
  if (s.stride_h == 1 && s.stride_w == 1) return false;  // one phase
  if (!Cells{rows_axis(s)}.apart() || !Cells{columns_axis(s)}.apart()) return false;
  if (s.KH * s.KW == 1) return true;
  const bool same_order = s.x_channels_last == s.w_channels_last && s.IH * s.IW > 1;
  return same_order && (!in_one_share(s) || s.terms() <= MOST_OF_CELL);
}

// The product as a 1x1 convolution of grad_y. y: where the first tap's elements lie.
constexpr Correlation apart_correlation(const Conv2dShape& s) {
  const Strides xs = s.x_strides();
  return {s.N,
          s.groups,
          s.group_OC(),
          s.terms(),
          Axis{s.OH(), s.OH(), 1, 1, 0, 1},
          Axis{s.OW(), s.OW(), 1, 1, 0, 1},
          s.y_strides(),
          Strides{1, s.terms(), 0, 0},
          Strides{xs.n, xs.c, xs.h * s.stride_h, xs.w * s.stride_w},
          s.group_OC() * s.terms()};
}
constexpr MCut apart_cut(const Conv2dShape& s) {
  const int64_t taps = s.KH * s.KW;
  const bool inside = s.pad_top + s.pad_bottom + s.pad_left + s.pad_right == 0;
  return {taps * ceil_div(M_ALIGNMENT, taps), in_one_share(s), taps == 1 && inside};
}

// Writes c of a job into the cells of its pixels.
template <class T>
class CellWriter {
 public:
  using Sum = SumOf<T>;

  CellWriter(const Conv2dShape& of, const GemmSchedule<T>& schedule)
      : s(of),
        p(schedule),
        h{rows_axis(of)},
        w{columns_axis(of)},
        gaps(h.has_gaps() || w.has_gaps()) {}

  void write(const GemmJob& job, const Sum* c, T* grad_x) const {
    if (p.channel_lanes) return write_channels(job, c, grad_x);
    const int64_t taps = s.KH * s.KW, channels = job.M / taps;
    const int64_t first = job.group * s.group_IC() + job.m / taps;
    for_each_span(p.s, job.p, job.count, [&](const PixelSpan& span, int64_t at) {
      for_each_row(span, first, channels, grad_x, [&](T* row, int64_t kh) {
        write_row(span, channels, c + kh * s.KW * p.c_row() + at, row);
      });
    });
  }
  // Zeros for a job whose product is written in place: one tap, so that m is a channel.
  void clear(const GemmJob& job, T* grad_x) const {
    if (!gaps) return;
    const int64_t first = job.group * s.group_IC() + job.m;
    for_each_span(p.s, job.p, job.count, [&](const PixelSpan& span, int64_t) {
      for_each_row(span, first, job.M, grad_x, [&](T* row, int64_t) { zero(span, job.M, row); });
    });
  }

 private:
  const Conv2dShape& s;
  const GemmSchedule<T>& p;
  const Cells h, w;
  const bool gaps;
  const Window whole = w.whole();
  const Strides xs = s.x_strides();
  const Sum zeros[BLOCK_PIXELS] = {};

  // Calls f(row, kh) for the rows of grad_x in the cells of a span, from a channel on. Rows that no tap
  // reaches are cleared.
  template <class F>
  void for_each_row(const PixelSpan& span, int64_t channel, int64_t channels, T* grad_x,
                    const F& f) const {
    grad_x += span.n * xs.n + channel * xs.c;
    for (int64_t ih = h.begin(span.i); ih < h.end(span.i); ++ih) {
      const int64_t kh = h.tap(ih, span.i);
      if (kh < 0)
        zero(span, channels, grad_x + ih * xs.h);
      else
        f(grad_x + ih * xs.h, kh);
    }
  }

  Window columns_of(const PixelSpan& span) const {
    return {w.begin(span.j), w.end(span.j + span.count - 1)};
  }

  // A row of grad_x is 0 in the cells of a span, for some channels.
  void zero(const PixelSpan& span, int64_t channels, T* row) const {
    const int64_t first = columns_of(span).first, columns = columns_of(span).end - first;
    row += first * xs.w;
    if (channels == xs.w)
      std::memset(row, 0, columns * channels * sizeof(T));
    else if (xs.w == 1)
      for (int64_t c = 0; c < channels; ++c) std::memset(row + c * xs.c, 0, columns * sizeof(T));
    else
      for (int64_t j = 0; j < columns; ++j) std::memset(row + j * xs.w, 0, channels * sizeof(T));
  }

  // The part of `of` inside a span, counted from its first pixel.
  static Window within(Window of, const PixelSpan& span) {
    const int64_t first = clamp64(of.first - span.j, 0, span.count);
    return {first, clamp64(of.end - span.j, first, span.count)};
  }

  // With lanes of pixels: c[channel][kh][kw][pixel], one row of grad_x of each channel.
  void write_row(const PixelSpan& span, int64_t channels, const Sum* c, T* row) const {
    const int64_t c_row = p.c_row(), stride = w.axis.stride, step = w.axis.step;
    const int64_t c_channel = s.KH * s.KW * c_row;
    const int64_t apart = stride * xs.w;  // elements between cells
    Window bulk = within(whole, span);
    const int64_t columns = columns_of(span).end - columns_of(span).first;
    const bool interleaved = xs.w == 1 && (stride == 2 || stride == 4);
    // Interleaving writes the zeros of whole cells too.
    if (gaps && !(interleaved && columns == (bulk.end - bulk.first) * stride))
      zero(span, channels, row);
    T* to = row + w.at(span.j + bulk.first, 0) * xs.w;
    const Sum* from = c + bulk.first;
    const int64_t count = bulk.end - bulk.first;
    if (interleaved) {
      Interleaving<T> rows{channels, count, {}, {}, to, xs.c};
      for (const Sum*& in : rows.in) in = zeros;
      for (int64_t kw = 0; kw < s.KW; ++kw) {
        rows.in[kw * step] = from + kw * c_row;
        rows.in_row[kw * step] = c_channel;
      }
      stride == 2 ? p.k.interleave_pairs(rows) : p.k.interleave_fours(rows);
    } else if (xs.w == 1 && step == 1 && s.KW >= p.lanes) {
      for (int64_t i = 0; i < channels; ++i)
        p.rows.transpose_out(s.KW, count, from + i * c_channel, c_row, to + i * xs.c, apart);
    } else {
      bulk.end = bulk.first;
    }
    if (bulk.end - bulk.first == span.count) return;
    for (int64_t kw = 0; kw < s.KW; ++kw) {
      const Window all = within(inside(w.axis, kw), span);
      const auto elements = [&](int64_t begin, int64_t end) {
        T* at = row + w.at(span.j, kw) * xs.w;
        for (int64_t i = 0; i < channels; ++i)
          for (int64_t j = begin; j < end; ++j)
            at[i * xs.c + j * apart] = T(c[i * c_channel + kw * c_row + j]);
      };
      elements(all.first, min64(all.end, bulk.first));
      elements(max64(all.first, bulk.end), all.end);
    }
  }

  // With lanes of channels: c[pixel][m], m = (kh, kw, ic).
  void write_channels(const GemmJob& job, const Sum* c, T* grad_x) const {
    const int64_t IC = s.group_IC(), c_row = p.c_row(), apart = w.axis.stride * xs.w;
    const bool all = p.m_shares == 1 || s.KH * s.KW > 1;
    const bool together = w.axis.step == 1 && xs.w == IC;  // the taps of a row are neighbours
    const int64_t pieces = together ? 1 : s.KW, piece = together ? s.KW * IC : IC;
    const int64_t first = job.group * IC + (all ? 0 : job.m), channels = all ? IC : job.M;
    for_each_span(p.s, job.p, job.count, [&](const PixelSpan& span, int64_t at) {
      const Window bulk = within(whole, span);
      for_each_row(span, first, channels, grad_x, [&](T* row, int64_t kh) {
        if (gaps) zero(span, channels, row);
        // The elements [m, m + count) of the row of a cell, for the pixels of a window.
        const auto write = [&](Window pixels, int64_t kw, int64_t count) {
          const int64_t m = (kh * s.KW + kw) * IC;
          const int64_t begin = max64(m, job.m), end = min64(m + count, job.m + job.M);
          if (begin >= end || pixels.first >= pixels.end) return;
          p.k.write_rows(pixels.end - pixels.first, end - begin,
                         c + (at + pixels.first) * c_row + begin - job.m, c_row,
                         row + w.at(span.j + pixels.first, kw) * xs.w + (all ? begin - m : 0),
                         apart);
        };
        for (int64_t i = 0; i < pieces; ++i) write(bulk, i, piece);
        if (bulk.end - bulk.first == span.count) return;
        for (int64_t kw = 0; kw < s.KW; ++kw) {
          const Window seen = within(inside(w.axis, kw), span);
          write({seen.first, min64(seen.end, bulk.first)}, kw, IC);
          write({max64(seen.first, bulk.end), seen.end}, kw, IC);
        }
      });
    });
  }
};

}  // namespace fastconv::cpu
