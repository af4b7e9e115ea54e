// Pooling of NHWC images, a row of the output at a time: lanes are the channels of one pixel
// (formulas: ../../core/shape.h). Windows are cut off at the edges, so every tap is in the image.

// The taps of one output: (r, k) is at x + r * row + k * column.
template <class T>
struct Taps {
  const T* x;
  int64_t rows, columns, row, column;
};

template <class T>
FASTCONV_LEAF Taps<T> taps_of(const Pool2dShape& s, const T* image, Window rows, Window columns) {
  return {image + (rows.first * s.IW + columns.first) * s.C,
          ceil_div(rows.end - rows.first, s.dilation_h),
          ceil_div(columns.end - columns.first, s.dilation_w), s.dilation_h * s.IW * s.C,
          s.dilation_w * s.C};
}

// `first`: the code of tap (0, 0). ROWS, COLUMNS are 0 where only known at run time.
template <class T, int ROWS, int COLUMNS>
FASTCONV_LEAF void max_pool_pixel(const Taps<T>& taps, int64_t C, int64_t KW, int64_t first,
                                  T* __restrict__ y, Codes codes) {
  using Integer = LaneInteger<T>;
  const int64_t rows = ROWS ? ROWS : taps.rows, columns = COLUMNS ? COLUMNS : taps.columns;
  const auto first_code = broadcast(static_cast<Integer>(first));
  for (int64_t c = 0; c < C; c += LANES<T>) {
    const int count = lanes_left(C - c, LANES<T>);
    const T* from = taps.x + c;
    Best<T> best{load_first(from, count), first_code};
    const int64_t row = taps.row, column = taps.column;
#pragma GCC unroll 3
    for (int64_t r = 0; r < rows; ++r) {
      auto code = first_code + static_cast<Integer>(r * KW);
#pragma GCC unroll 3
      for (int64_t k = 0; k < columns; ++k, code += Integer(1))
        if (r + k > 0) best.offer(load_first(from + r * row + k * column, count), code);
    }
    store_first_exactly(y + c, best.value, count);
    if (codes) store_codes<T>(codes + c, best.code, count);
  }
}

template <class T>
FASTCONV_LEAF void max_pool_row(const Pool2dShape& shape, const PoolRow<T>& p, Codes codes) {
  const Pool2dShape s = shape;  // a copy of our own, which stores cannot change
  const Window rows = s.rows(p.at);
  const int64_t kh = (rows.first - s.row_start(p.at)) / s.dilation_h;
  for (int64_t ow = 0; ow < s.OW; ++ow) {
    const Window columns = s.columns(ow);
    const int64_t skipped = columns.first - s.column_start(ow);
    const int64_t first = kh * s.KW + (skipped == 0 ? 0 : skipped / s.dilation_w);
    const Taps<T> taps = taps_of(s, p.x, rows, columns);
    T* y = p.y + ow * s.C;
    const Codes at = codes ? codes + ow * s.C : codes;
    if (taps.rows == 2 && taps.columns == 2)
      max_pool_pixel<T, 2, 2>(taps, s.C, s.KW, first, y, at);
    else if (taps.rows == 3 && taps.columns == 3)
      max_pool_pixel<T, 3, 3>(taps, s.C, s.KW, first, y, at);
    else
      max_pool_pixel<T, 0, 0>(taps, s.C, s.KW, first, y, at);
  }
}

// Values alone take fewer registers.
template <class T>
void max_pool_pixels(const Pool2dShape& s, const PoolRow<T>& p, Codes codes) {
  if (codes)
    max_pool_row<T>(s, p, codes);
  else
    max_pool_row<T>(s, p, Codes(static_cast<uint8_t*>(nullptr)));
}

// Sums of VECTORS * LANES channels over a window that is whole pixels apart; a group of vectors at
// a time, so that large windows are read in whole lines.
template <class T, int VECTORS, int ROWS, int COLUMNS>
FASTCONV_LEAF void avg_pool_channels(const Taps<T>& taps, int count, Lane<T> divisor, int64_t c,
                                     T* y) {
  constexpr int L = LANES<T>;
  const int64_t rows = ROWS ? ROWS : taps.rows, columns = COLUMNS ? COLUMNS : taps.columns;
  Vec<T> sums[VECTORS] = {};
#pragma GCC unroll 3
  for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 3
    for (int64_t k = 0; k < columns; ++k) {
      const T* from = taps.x + r * taps.row + k * taps.column + c;
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v)
        sums[v] += VECTORS == 1 ? load_first(from, count) : load(from + v * L);
    }
#pragma GCC unroll 8
  for (int v = 0; v < VECTORS; ++v)
    store_first(y + c + v * L, sums[v] / broadcast(divisor), VECTORS == 1 ? count : L);
}

template <class T, int ROWS, int COLUMNS>
FASTCONV_LEAF void avg_pool_pixel(const Taps<T>& taps, int64_t C, Lane<T> divisor, T* y) {
  constexpr int L = LANES<T>, VECTORS = ROWS ? 4 : 8;
  int64_t c = 0;
  for (; c + VECTORS * L <= C; c += VECTORS * L)
    avg_pool_channels<T, VECTORS, ROWS, COLUMNS>(taps, L, divisor, c, y);
  for (; c < C; c += L)
    avg_pool_channels<T, 1, ROWS, COLUMNS>(taps, lanes_left(C - c, L), divisor, c, y);
}

template <class T>
void avg_pool_pixels(const Pool2dShape& shape, const PoolRow<T>& p) {
  const Pool2dShape s = shape;  // a copy of our own, which stores cannot change
  const Window rows = s.rows(p.at);
  const int64_t by_rows = row_divisor(s, p.at);
  for (int64_t ow = 0; ow < s.OW; ++ow) {
    const Taps<T> taps = taps_of(s, p.x, rows, s.columns(ow));
    const auto divisor =
        static_cast<Lane<T>>(by_rows * (s.divisor_override ? 1 : s.columns_divisor(ow)));
    T* y = p.y + ow * s.C;
    if (taps.rows == 2 && taps.columns == 2)
      avg_pool_pixel<T, 2, 2>(taps, s.C, divisor, y);
    else if (taps.rows == 3 && taps.columns == 3)
      avg_pool_pixel<T, 3, 3>(taps, s.C, divisor, y);
    else
      avg_pool_pixel<T, 0, 0>(taps, s.C, divisor, y);
  }
}

template <class T>
void pixel_mean(int64_t count, int64_t channels, const T* x, int64_t row, Lane<T> divisor, T* y) {
  avg_pool_pixel<T, 0, 0>({x, 1, count, 0, row}, channels, divisor, y);
}
