// The patch matrix of a correlation, and how its pieces are packed. It is never made as a whole.
// Layer: cpu/gemm, for drivers.
#pragma once

#include <cstring>

#include "../common/correlation.h"
#include "table.h"

namespace fastconv::cpu {

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
    if (terms.taps_inner)
      return {k, outers * inners, outer, outers, inner, inners, inners, 1};
    return {k, outers * inners, inner, inners, outer, outers, 1, inners};
  }
};

// Neighbouring pixels of one output row.
struct PixelRun {
  int64_t n, i, j, count;
};

// Calls f(run, at) for the runs of the pixels [p, p + count); `at` counts the pixels before the run.
template <class F>
void for_each_run(const Correlation& s, int64_t p, int64_t count, const F& f) {
  const int64_t J = s.w.outputs, I = s.h.outputs;
  PixelRun run{p / (I * J), p / J % I, p % J, 0};
  for (int64_t at = 0; at < count; at += run.count) {
    run.count = min64(J - run.j, count - at);
    f(run, at);
    run.j = 0;
    if (++run.i == I) run.i = 0, ++run.n;
  }
}

// The outputs of an axis whose tap lies inside the source.
constexpr Window inside(const Axis& axis, int64_t tap) {
  const int64_t at = axis.first + tap * axis.step;
  const int64_t first = at >= 0 ? 0 : ceil_div(-at, axis.stride);
  const int64_t end = at >= axis.source ? 0 : (axis.source - 1 - at) / axis.stride + 1;
  return {min64(first, axis.outputs), clamp64(end, 0, axis.outputs)};
}

// The pieces of one row of a panel: what tap t reads for the pixels [p, p + count). Pieces that are
// neighbours in memory become one. There are at most 3 a run.
inline int64_t row_pieces(const Correlation& s, int64_t t, int64_t p, int64_t count,
                          Piece* pieces) {
  const int64_t a = t / s.w.taps, b = t % s.w.taps, step = s.w.stride * s.x.w;
  const Window rows = inside(s.h, a), columns = inside(s.w, b);
  int64_t made = 0;
  const auto add = [&](int64_t at, int64_t length, int64_t from, int64_t by) {
    if (length <= 0) return;
    if (made > 0) {
      Piece& last = pieces[made - 1];
      if (last.step == by && (by == 0 || last.from + last.count * by == from)) {
        last.count += length;
        return;
      }
    }
    pieces[made++] = {at, length, from, by};
  };
  for_each_run(s, p, count, [&](const PixelRun& run, int64_t at) {
    if (run.i < rows.first || run.i >= rows.end) return add(at, run.count, 0, 0);
    const int64_t end = run.j + run.count;
    const int64_t from = clamp64(columns.first, run.j, end), to = clamp64(columns.end, from, end);
    add(at, from - run.j, 0, 0);
    const int64_t ih = run.i * s.h.stride + s.h.first + a * s.h.step;
    const int64_t iw = from * s.w.stride + s.w.first + b * s.w.step;
    add(at + from - run.j, to - from, run.n * s.x.n + ih * s.x.h + iw * s.x.w, step);
    add(at + to - run.j, end - to, 0, 0);
  });
  return made;
}

// Packs the terms of a chunk for the pixels [p, p + count) as rows[k][width], pixels inner. The lanes
// after the last pixel are zero up to `padded`. `pieces` has room for 3 * count.
template <class T>
void pack_term_rows(const ProductKernels<T>& k, const Correlation& s, const TermChunk& chunk,
                    const T* x, int64_t p, int64_t count, int64_t padded, int64_t width,
                    Piece* pieces, T* rows) {
  for (int64_t t = 0; t < chunk.taps; ++t) {
    int64_t made = row_pieces(s, chunk.t + t, p, count, pieces);
    if (padded > count) pieces[made++] = {count, padded - count, 0, 0};
    k.pack_pieces(PiecePack<T>{chunk.C, made, pieces, x + chunk.c * s.x.c, s.x.c,
                               rows + t * chunk.tap_step * width, chunk.c_step * width, padded});
  }
}

// Packs the same as rows[pixel][width], terms inner.
template <class T>
void pack_pixel_rows(const Correlation& s, const TermChunk& chunk, const T* x, int64_t p,
                     int64_t count, int64_t width, T* rows) {
  x += chunk.c * s.x.c;
  for_each_run(s, p, count, [&](const PixelRun& run, int64_t at) {
    for (int64_t t = chunk.t; t < chunk.t + chunk.taps; ++t) {
      const int64_t a = t / s.w.taps, b = t % s.w.taps;
      const int64_t ih = run.i * s.h.stride + s.h.first + a * s.h.step;
      const bool row_inside = ih >= 0 && ih < s.h.source;
      T* to = rows + at * width + (t - chunk.t) * chunk.tap_step;
      for (int64_t j = run.j; j < run.j + run.count; ++j, to += width) {
        const int64_t iw = j * s.w.stride + s.w.first + b * s.w.step;
        const T* from = x + run.n * s.x.n + ih * s.x.h + iw * s.x.w;
        if (!row_inside || iw < 0 || iw >= s.w.source)
          for (int64_t c = 0; c < chunk.C; ++c) to[c * chunk.c_step] = 0;
        else if (s.x.c == 1 && chunk.c_step == 1)
          std::memcpy(to, from, chunk.C * sizeof(T));
        else
          for (int64_t c = 0; c < chunk.C; ++c) to[c * chunk.c_step] = from[c * s.x.c];
      }
    }
  });
}

}  // namespace fastconv::cpu
