// The sums of a job of GEMM convolution (formula: patches.h): chunk by chunk of terms, patches are packed, or
// read where they lie, and multiplied. Layer: cpu/gemm, for its driver.
#pragma once

#include <cstring>

#include "../common/finish.h"
#include "schedule.h"

namespace fastconv::cpu {

// Sums the products of one chunk of terms into c, with lanes of channels.
template <class T>
void multiply_channels(const GemmSchedule<T>& p, const GemmArrays<T>& b, const GemmJob& job,
                       const TermChunk& chunk, const T* x, SumOf<T>* patches, SumOf<T>* c, T* y,
                       const Finishing<T>& finishing, bool with_bias) {
  const Correlation& s = p.s;
  pack_pixel_rows(p.rows, s, b.tables, chunk, x, job.p, job.count, chunk.count, patches);
  p.product.pair_columns(job.count, chunk.count, chunk.count, patches);
  const SumOf<T>* weights = b.weights + job.group * p.weight_count();
  const int64_t first = job.share * p.panels.panels / p.m_shares;
  const int64_t last = (job.share + 1) * p.panels.panels / p.m_shares;
  for (int64_t i = first; i < last; ++i) {
    const int64_t width = p.panels.width(i), m = p.panels.first(i);
    StridedProduct<SumOf<T>> product{chunk.count,
                                     patches,
                                     chunk.count,
                                     1,
                                     weights + m * p.terms.count() + chunk.k * width,
                                     width,
                                     c + m - job.m,
                                     p.c_row(),
                                     chunk.k > 0};
    if (with_bias) product.column_start = b.bias + job.group * p.bias_row() + m;
    if (!p.direct_to_y()) {
      p.product.multiply(width / p.lanes, job.count, product);
      continue;
    }
    if constexpr (!IS_WIDENED<T>) {
      product.c_row = s.y.w;
      for_each_span(s, job.p, job.count, [&](const PixelSpan& span, int64_t at) {
        product.a = patches + at * chunk.count;
        product.c = y + span.n * s.y.n + span.i * s.y.h + span.j * s.y.w + job.group * s.M + m;
        p.product.multiply(width / p.lanes, span.count, product);
        finishing.in_place(p.rows, width, 1, span.count, product.c, s.y);
      });
    }
  }
}

// The same with the pixels where they lie in x. Taps that see padding are left out.
template <class T>
void multiply_in_place(const GemmSchedule<T>& p, const GemmArrays<T>& b, const GemmJob& job,
                       const TermChunk& chunk, const T* x, SumOf<T>* c, T* y,
                       const Finishing<T>& finishing, bool with_bias) {
  const Correlation& s = p.s;
  const int64_t first = job.share * p.panels.panels / p.m_shares, end = chunk.t + chunk.taps;
  const int64_t last = (job.share + 1) * p.panels.panels / p.m_shares;
  const bool direct = p.direct_to_y();
  StridedProduct<SumOf<T>> product{};
  product.a_row = s.w.stride * s.x.w;
  product.a_step = 1;
  product.c_row = direct ? s.y.w : p.c_row();
  product.add = !has_one_tap(s) || chunk.k > 0;
  for (int64_t panel = first; panel < last; ++panel)
    for (int64_t t = chunk.t, taps = 0; t < end; t += taps) {
      const int64_t row = t / s.w.taps, column = t % s.w.taps;
      taps = min64(p.in_place, min64(s.w.taps - column, end - t));
      const int64_t width = p.panels.width(panel), m = p.panels.first(panel);
      const SumOf<T>* weights = b.weights + job.group * p.weight_count() + m * p.terms.count() +
                                (chunk.k + (t - chunk.t) * chunk.C) * width;
      product.b_row = width;
      if (with_bias) product.column_start = b.bias + job.group * p.bias_row() + m;
      // `count` pixels from column j of a span on, and some of the taps.
      const auto multiply = [&](const PixelSpan& span, int64_t at, int64_t j, int64_t count,
                                Window some) {
        if (count <= 0 || some.first >= some.end) return;
        const int64_t ih = span.i * s.h.stride + s.h.first + row * s.h.step;
        const int64_t iw = j * s.w.stride + s.w.first + (column + some.first) * s.w.step;
        if constexpr (!IS_WIDENED<T>) {
          product.K = (some.end - some.first) * chunk.C;
          product.a = x + chunk.c + span.n * s.x.n + ih * s.x.h + iw * s.x.w;
          product.b = weights + some.first * chunk.C * width;
          product.c = c + (at + j - span.j) * p.c_row() + m - job.m;
          if (direct)
            product.c = y + span.n * s.y.n + span.i * s.y.h + j * s.y.w + job.group * s.M + m;
          p.product.multiply(width / p.lanes, count, product);
          if (direct) finishing.in_place(p.rows, width, 1, count, product.c, s.y);
        }
      };
      if (p.in_one_product()) {
        multiply(first_pixel(s, job.p, job.count), 0, job.p % s.w.outputs, job.count, {0, 1});
        continue;
      }
      const Window rows = b.tables.rows[row], from = b.tables.columns[column];
      const Window to = b.tables.columns[column + taps - 1];
      for_each_span(s, job.p, job.count, [&](const PixelSpan& span, int64_t at) {
        if (span.i < rows.first || span.i >= rows.end) return;
        const int64_t span_end = span.j + span.count;
        const int64_t begin = clamp64(max64(from.first, to.first), span.j, span_end);
        const int64_t whole = clamp64(min64(from.end, to.end), begin, span_end);
        multiply(span, at, begin, whole - begin, {0, taps});
        const auto ends = [&](int64_t j, int64_t j_end) {
          for (; j < j_end && taps > 1; ++j) {
            const int64_t iw = j * s.w.stride + s.w.first + column * s.w.step;
            const int64_t some = clamp64(-iw, 0, taps);
            multiply(span, at, j, 1, {some, clamp64(s.w.source - iw, some, taps)});
          }
        };
        ends(span.j, begin);
        ends(whole, span_end);
      });
    }
}

// The same with lanes of pixels.
template <class T>
void multiply_pixels(const GemmSchedule<T>& p, const GemmArrays<T>& b, const GemmJob& job,
                     const TermChunk& chunk, const T* x, const T* weight, const SumOf<T>* bias,
                     SumOf<T>* patches, SumOf<T>* c, int thread) {
  for (int64_t at = 0; at < job.count; at += p.panel) {
    const int64_t pixels = min64(p.panel, job.count - at), padded = round_up(pixels, p.lanes);
    pack_term_rows(p.k, p.s, b.tables, chunk, x, job.p + at, pixels, padded, padded,
                   patches + at * chunk.count, thread);
    p.product.pair_rows(chunk.count, padded, padded, patches + at * chunk.count);
  }
  const int64_t a_row = p.weight_row();
  const SumOf<T>* a = b.weights + job.group * p.weight_count();
  if constexpr (!IS_WIDENED<T>)
    if (!p.pack_weights) a = weight + job.group * p.s.weight_group;
  a += job.m * a_row + chunk.k;
  for (int64_t at_m = 0; at_m < job.M; at_m += M_BLOCK)
    for (int64_t at = 0; at < job.count; at += p.panel) {
      const int64_t vectors = ceil_div(min64(p.panel, job.count - at), p.lanes);
      StridedProduct<SumOf<T>> product{chunk.count,
                                       a + at_m * a_row,
                                       a_row,
                                       1,
                                       patches + at * chunk.count,
                                       vectors * p.lanes,
                                       c + at_m * p.c_row() + at,
                                       p.c_row(),
                                       chunk.k > 0};
      if (bias) product.row_start = bias + job.group * p.s.M + job.m + at_m;
      p.product.multiply(vectors, min64(M_BLOCK, job.M - at_m), product);
    }
}

// What c is where no tap sees the image.
template <class T>
void start_block(const GemmSchedule<T>& p, const GemmJob& job, const T* bias, SumOf<T>* c) {
  const int64_t row = p.c_row(), rows = p.channel_lanes ? job.count : job.M;
  if (!bias) return void(std::memset(c, 0, rows * row * sizeof(SumOf<T>)));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < row; ++i) {
      const int64_t m = p.channel_lanes ? i : r;
      c[r * row + i] = m < job.M ? SumOf<T>(bias[job.group * p.s.M + job.m + m]) : 0;
    }
}

// Returns c of a job. y is written only where direct_to_y() says so.
template <class T>
const SumOf<T>* sum_block(const GemmSchedule<T>& p, const GemmArrays<T>& b, const GemmJob& job,
                          const T* x, const T* weight, const T* bias, T* y,
                          const Finishing<T>& finishing, int thread) {
  SumOf<T>* patches = b.scratch + thread * b.scratch_count;
  SumOf<T>* c = patches + b.c_offset;
  const SumOf<T>* row_start = b.bias;
  if constexpr (!IS_WIDENED<T>) row_start = bias;
  x += job.group * p.s.C * p.s.x.c;
  if (p.terms.count() == 0 || (p.in_place && !has_one_tap(p.s))) start_block(p, job, bias, c);
  for (int64_t i = 0; i < p.chunks.count(); ++i)
    if (p.in_place)
      multiply_in_place(p, b, job, p.chunks[i], x, c, y, finishing, bias != nullptr);
    else if (p.channel_lanes)
      multiply_channels(p, b, job, p.chunks[i], x, patches, c, y, finishing, bias != nullptr);
    else
      multiply_pixels(p, b, job, p.chunks[i], x, weight, bias ? row_start : nullptr, patches, c,
                      thread);
  return c;
}

}  // namespace fastconv::cpu
