// One output row of depthwise convolution (formula: table.h). Layer: cpu/depthwise, leaf kernels.

//             PIXELS columns ->                x: each vector is loaded once and feeds every pixel
//        +------+------+------+                that it is a tap of
//   c    | acc[p]             |                w: TAPS vectors, in registers for a row of taps
//        +------+------+------+                per row of taps: (PIXELS - 1) * STRIDE + TAPS loads of
//                                              x feed PIXELS * TAPS multiply-adds
// TAPS = 0 serves every filter, stride and dilation: one load for each multiply-add. EDGE leaves out
// taps beyond the image, so padding is never multiplied. The order of a sum does not depend on the
// tile, so tiles of a row may overlap.
template <class T, int TAPS, int STRIDE, int PIXELS, bool EDGE>
FASTCONV_LEAF void row_tile(const DepthwiseRow<T>& t, int64_t j, int64_t c) {
  static_assert(PIXELS + TAPS + 1 <= REGISTERS, "sums, weights and one x stay in registers");
  Vec<T> acc[PIXELS];
#pragma GCC unroll 16
  for (int p = 0; p < PIXELS; ++p) acc[p] = load(t.start + (j + p) * t.start_column + c);

  const int64_t first = j * t.columns.stride + t.columns.first;
  const int64_t low = -first, high = t.columns.source - first;  // columns inside the image
  const T* row = t.x + first * t.x_column + c;
  const SumOf<T>* w_row = t.w + c;
  for (int64_t a = 0; a < t.rows; ++a, row += t.x_row, w_row += t.w_row) {
    if constexpr (TAPS == 0) {
      for (int64_t b = 0; b < t.columns.taps; ++b) {
        const Vec<T> w = load(w_row + b * t.w_column);
#pragma GCC unroll 16
        for (int p = 0; p < PIXELS; ++p) {
          const int64_t column = p * t.columns.stride + b * t.columns.step;
          if (EDGE && (column < low || column >= high)) continue;
          acc[p] += w * load(row + column * t.x_column);
        }
      }
    } else {
      Vec<T> w[TAPS];
#pragma GCC unroll 16
      for (int b = 0; b < TAPS; ++b) {
        w[b] = load(w_row + b * t.w_column);
        keep_in_register(w[b]);
      }
      const T* x = row;
#pragma GCC unroll 32
      for (int i = 0; i < (PIXELS - 1) * STRIDE + TAPS; ++i, x += t.x_column) {
        if (EDGE && (i < low || i >= high)) continue;
        Vec<T> pixel = load(x);
        keep_in_register(pixel);
#pragma GCC unroll 16
        for (int b = 0; b < TAPS; ++b)
          if (i >= b && (i - b) % STRIDE == 0 && (i - b) / STRIDE < PIXELS)
            acc[(i - b) / STRIDE] += w[b] * pixel;
      }
    }
  }
  T* y = t.y + j * t.y_column + c;
  if (!t.finish.none) {
    const Finisher<T> way(t.finish, t.y);
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p) acc[p] = way.finished(y + p * t.y_column, acc[p]);
  }
  if (t.past_caches) {
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p) stream_half_line(y + p * t.y_column, acc[p]);
  } else {
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p) store(y + p * t.y_column, acc[p]);
  }
}

// Fetches what the row below needs at the columns of a tile, a cache line of channels at a time.
template <class T, int PIXELS>
FASTCONV_LEAF void prefetch_tile(const DepthwiseRow<T>& t, int64_t j, int64_t c) {
  if (c % (64 / static_cast<int>(sizeof(T))) != 0) return;
  if (t.x_ahead != 0) {
    const T* x = t.x + j * t.columns.stride * t.x_column + t.x_ahead + c;
    for (int64_t i = 0; i < PIXELS * t.columns.stride; ++i, x += t.x_column) __builtin_prefetch(x);
  }
  if (t.y_ahead != 0) {
    const T* y = t.y + j * t.y_column + t.y_ahead + c;
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p) prefetch_to_write(y + p * t.y_column);
  }
}

// All columns in tiles of PIXELS, at most `columns`; the last tile overlaps the one before it, as
// does the last vector of channels.
template <class T, int TAPS, int STRIDE, int PIXELS>
FASTCONV_LEAF void row_tiles(const DepthwiseRow<T>& t) {
  const DepthwiseColumns& s = t.columns;
  const int64_t span = (PIXELS - 1) * s.stride + (s.taps - 1) * s.step;
  for (int64_t next = 0; next < s.outputs; next += PIXELS) {
    const int64_t j = next + PIXELS > s.outputs ? s.outputs - PIXELS : next;
    const int64_t first = j * s.stride + s.first;
    const bool edge = first < 0 || first + span >= s.source;
    for (int64_t next_c = 0; next_c < t.channels; next_c += LANES<T>) {
      const int64_t c = next_c + LANES<T> > t.channels ? t.channels - LANES<T> : next_c;
      prefetch_tile<T, PIXELS>(t, j, next_c);
      if (PIXELS < WIDE_TILE || edge)
        row_tile<T, TAPS, STRIDE, PIXELS, true>(t, j, c);
      else
        row_tile<T, TAPS, STRIDE, PIXELS, false>(t, j, c);
    }
  }
}

template <class T, int TAPS, int STRIDE>
void depthwise_row(const DepthwiseRow<T>& t) {
  if (t.columns.outputs >= WIDE_TILE)
    row_tiles<T, TAPS, STRIDE, WIDE_TILE>(t);
  else if (t.columns.outputs >= NARROW_TILE)
    row_tiles<T, TAPS, STRIDE, NARROW_TILE>(t);
  else
    row_tiles<T, TAPS, STRIDE, 1>(t);
  if (t.past_caches) wait_for_half_lines();
}
