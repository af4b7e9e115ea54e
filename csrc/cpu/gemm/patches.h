// The patch matrix of a correlation, and how its pieces are packed. It is never made as a whole.
// Layer: cpu/gemm, for drivers.
#pragma once

#include <cstring>

#include "../common/correlation.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "table.h"

namespace fastconv::cpu {

constexpr int64_t WEIGHT_TERMS = 96;  // of a job of backward_weight

// A correlation is the product y[m][p] = sum over k of w[m][k] * patch[k][p], for each group:
//   p = (n, i, j)   pixels of the output, of all images
//   k = (c, t) or (t, c)   terms: channels c and taps t = (a, b)
//   patch[k][p] = x[n, c, i*stride_h + first_h + a*step_h, j*stride_w + first_w + b*step_w], or 0
// The order of the terms is that in which the weights lie, or that in which the pixels lie.
struct Terms {
  int64_t C, taps;
  bool taps_inner;  // k = (c, t), else (t, c)

  constexpr int64_t outer() const { return taps_inner ? C : taps; }
  constexpr int64_t inner() const { return taps_inner ? taps : C; }
  constexpr int64_t count() const { return C * taps; }
  constexpr int64_t c_step() const { return taps_inner ? taps : 1; }
  constexpr int64_t tap_step() const { return taps_inner ? 1 : C; }
};

// Terms that one product sums: channels [c, c + C) and taps [t, t + taps), neighbours in the order of
// the terms. Term (c, t) is row c * c_step + t * tap_step of the chunk.
struct TermChunk {
  int64_t k, count;
  int64_t c, C, t, taps;
  int64_t c_step, tap_step;
};

// Cuts the terms into chunks of at most `most` terms, of nearly equal length.
struct TermChunks {
  Terms terms;
  int64_t pieces;        // of the inner terms of one outer term; 1 if they fit a chunk
  int64_t outer_chunks;  // of the outer terms, if the inner ones fit a chunk

  constexpr TermChunks(const Terms& of, int64_t most)
      : terms(of),
        pieces(max64(1, ceil_div(of.inner(), most))),
        outer_chunks(pieces > 1 ? of.outer()
                                : ceil_div(of.outer(), max64(1, most / max64(1, of.inner())))) {}
  constexpr int64_t count() const { return terms.count() == 0 ? 0 : outer_chunks * pieces; }
  constexpr TermChunk operator[](int64_t i) const {
    const int64_t o = i / pieces, part = i % pieces;
    const int64_t outer = o * terms.outer() / outer_chunks;
    const int64_t outers = (o + 1) * terms.outer() / outer_chunks - outer;
    const int64_t inner = part * terms.inner() / pieces;
    const int64_t inners = (part + 1) * terms.inner() / pieces - inner;
    const int64_t k = outer * terms.inner() + inner;
    if (terms.taps_inner) return {k, outers * inners, outer, outers, inner, inners, inners, 1};
    return {k, outers * inners, inner, inners, outer, outers, 1, inners};
  }
};

// Neighbouring pixels of one output row.
struct PixelSpan {
  int64_t n, i, j, count;
};

// The span of the pixels [p, p + count), if no row of pixels ends in memory either.
inline PixelSpan first_pixel(const Correlation& s, int64_t p, int64_t count) {
  const int64_t J = s.w.outputs, I = s.h.outputs;
  return {p / (I * J), p / J % I, p % J, count};
}

// Calls f(span, at) for the spans of the pixels [p, p + count); `at` counts the pixels before the span.
template <class F>
void for_each_span(const Correlation& s, int64_t p, int64_t count, const F& f) {
  const int64_t J = s.w.outputs, I = s.h.outputs;
  PixelSpan span = first_pixel(s, p, 0);
  for (int64_t at = 0; at < count; at += span.count) {
    span.count = min64(J - span.j, count - at);
    f(span, at);
    span.j = 0;
    if (++span.i == I) span.i = 0, ++span.n;
  }
}

// What packing needs to know of a correlation, and room for the pieces of one row of a panel.
struct PatchTables {
  Window *rows, *columns;  // [h.taps], [w.taps]: the outputs whose tap lies inside the image
  PixelSpan* spans;        // [threads][most pixels]
  Piece* pieces;           // [threads][3 * most pixels + 1]
  int64_t most;            // pixels of a panel

  PatchTables(const Correlation& s, int64_t most_pixels, int64_t threads, Workspace& workspace)
      : most(most_pixels) {
    rows = workspace.take<Window>(s.h.taps);
    columns = workspace.take<Window>(s.w.taps);
    spans = workspace.take<PixelSpan>(threads * most);
    pieces = workspace.take<Piece>(threads * (3 * most + 1));
  }
  void fill(const Correlation& s) const {
    for (int64_t a = 0; a < s.h.taps; ++a) rows[a] = inside(s.h, a);
    for (int64_t b = 0; b < s.w.taps; ++b) columns[b] = inside(s.w, b);
  }
  PixelSpan* spans_of(int thread) const { return spans + thread * most; }
  Piece* pieces_of(int thread) const { return pieces + thread * (3 * most + 1); }
};

// The pieces of one row of a panel: what tap (a, b) reads for the pixels of the spans. Pieces that are
// neighbours in memory become one. There are at most 3 a span.
inline int64_t row_pieces(const Correlation& s, const PatchTables& tables, int64_t a, int64_t b,
                          const PixelSpan* spans, int64_t span_count, Piece* pieces) {
  const Window rows = tables.rows[a], columns = tables.columns[b];
  const int64_t step = s.w.stride * s.x.w;
  int64_t made = 0, at = 0;
  const auto add = [&](int64_t length, int64_t from, int64_t by) {
    if (length <= 0) return;
    Piece* last = pieces + made - 1;
    if (made > 0 && last->step == by && (by == 0 || last->from + last->count * by == from))
      last->count += length;
    else
      pieces[made++] = {at, length, from, by};
    at += length;
  };
  for (int64_t r = 0; r < span_count; ++r) {
    const PixelSpan& span = spans[r];
    if (span.i < rows.first || span.i >= rows.end) {
      add(span.count, 0, 0);
      continue;
    }
    const int64_t end = span.j + span.count;
    const int64_t from = clamp64(columns.first, span.j, end), to = clamp64(columns.end, from, end);
    const int64_t ih = span.i * s.h.stride + s.h.first + a * s.h.step;
    const int64_t iw = from * s.w.stride + s.w.first + b * s.w.step;
    add(from - span.j, 0, 0);
    add(to - from, span.n * s.x.n + ih * s.x.h + iw * s.x.w, step);
    add(end - to, 0, 0);
  }
  return made;
}

// Packs the terms of a chunk for the pixels [p, p + count) as rows[k][width], pixels inner. The lanes
// after the last pixel are zero up to `padded`.
template <class T>
void pack_term_rows(const ProductKernels<T>& k, const Correlation& s, const PatchTables& tables,
                    const TermChunk& chunk, const T* x, int64_t p, int64_t count, int64_t padded,
                    int64_t width, SumOf<T>* rows, int thread) {
  PixelSpan* spans = tables.spans_of(thread);
  Piece* pieces = tables.pieces_of(thread);
  int64_t span_count = 0;
  for_each_span(s, p, count, [&](const PixelSpan& span, int64_t) { spans[span_count++] = span; });
  int64_t a = chunk.t / s.w.taps, b = chunk.t % s.w.taps;
  for (int64_t t = 0; t < chunk.taps; ++t) {
    int64_t made = row_pieces(s, tables, a, b, spans, span_count, pieces);
    if (padded > count) pieces[made++] = {count, padded - count, 0, 0};
    k.pack_pieces(PiecePack<T>{chunk.C, made, pieces, x + chunk.c * s.x.c, s.x.c,
                               rows + t * chunk.tap_step * width, chunk.c_step * width, padded});
    if (++b == s.w.taps) b = 0, ++a;
  }
}

// Copies a few elements: the taps of one row of a filter, or the channels of one tap.
template <class T>
void copy_few(const T* from, int64_t count, T* to) {
  constexpr int64_t GROUP = 32 / static_cast<int64_t>(sizeof(T));
  int64_t i = 0;
  for (; i + GROUP <= count; i += GROUP) std::memcpy(to + i, from + i, 32);
  for (; i < count; ++i) to[i] = from[i];
}
template <class T>
void fill_few(int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = 0;
}

constexpr bool is_whole(Window inside, int64_t taps) {
  return inside.first == 0 && inside.end == taps;
}

// Packs the same as rows[pixel][width], terms inner. Where the pixels of an image row follow each
// other in memory as the taps do in the terms, a row of the filter is copied at once.
template <class T>
void pack_pixel_rows(const RowKernels<T>& k, const Correlation& s, const PatchTables& tables,
                     const TermChunk& chunk, const T* x, int64_t p, int64_t count, int64_t width,
                     SumOf<T>* rows) {
  x += chunk.c * s.x.c;
  const bool dense = s.x.c == 1 && chunk.c_step == 1;
  const bool whole_rows = dense && chunk.C == s.C && s.w.step * s.x.w == s.C;
  const int64_t end = chunk.t + chunk.taps;
  for_each_span(s, p, count, [&](const PixelSpan& span, int64_t at) {
    for (int64_t t = chunk.t, taps = 0; t < end; t += taps) {
      const int64_t a = t / s.w.taps, b = t % s.w.taps;
      taps = whole_rows ? min64(s.w.taps - b, end - t) : 1;
      const bool row_inside = span.i >= tables.rows[a].first && span.i < tables.rows[a].end;
      const int64_t ih = span.i * s.h.stride + s.h.first + a * s.h.step;
      const T* row = x + span.n * s.x.n + ih * s.x.h;
      SumOf<T>* to = rows + at * width + (t - chunk.t) * chunk.tap_step;
      const auto column = [&](int64_t j) { return j * s.w.stride + s.w.first + b * s.w.step; };
      // The taps first .. end - 1 of b .. b + taps - 1 lie inside the image.
      const auto taps_inside = [&](int64_t j) {
        if (!row_inside) return Window{0, 0};
        if (whole_rows) {
          const int64_t first = clamp64(-column(j), 0, taps);
          return Window{first, clamp64(s.w.source - column(j), first, taps)};
        }
        const bool inside = tables.columns[b].first <= j && j < tables.columns[b].end;
        return Window{0, inside ? taps : 0};
      };
      for (int64_t j = span.j; j < span.j + span.count; ++j, to += width) {
        const Window inside = taps_inside(j);
        const bool all = is_whole(inside, taps);
        if (!dense) {
          const T* from = row + column(j) * s.x.w;
          for (int64_t c = 0; c < chunk.C; ++c)
            to[c * chunk.c_step] = all ? SumOf<T>(from[c * s.x.c]) : 0;
          continue;
        }
        if (!all) fill_few(taps * chunk.C, to);
        if (inside.first == inside.end) continue;
        const T* from = row + (column(j) + inside.first) * s.x.w;
        const int64_t terms = (inside.end - inside.first) * chunk.C;
        if constexpr (IS_WIDENED<T>) {
          int64_t together = 1;  // pixels, all of whose taps lie inside
          if (all)
            while (j + together < span.j + span.count && is_whole(taps_inside(j + together), taps))
              ++together;
          k.copy_in(together, terms, from, s.w.stride * s.x.w, to + inside.first * chunk.C, width,
                    0);
          j += together - 1;
          to += (together - 1) * width;
        } else {
          copy_few(from, terms, to + inside.first * chunk.C);
        }
      }
    }
  });
}

}  // namespace fastconv::cpu
