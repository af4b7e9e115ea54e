// One output row of grouped convolution (formula: table.h). Layer: cpu/grouped, leaf kernels.

//             PIXELS columns ->                x: for each input channel of the groups a vector, in
//        +------+------+------+                which every lane has the channel of its own group, feeds
//   m    | acc[p]             |                every pixel that it is a tap of
//        +------+------+------+                w: TAPS vectors, in registers for all pixels
//   per row of 3 taps and input channel: (PIXELS - 1) * STRIDE + 3 vectors of x and 3 of w feed
//   PIXELS * 3 multiply-adds
// G is the number of channels of a group, or 0 where all lanes are of one group. A row of taps is
// three at a time, then what is left. STRIDE = 0 serves every stride and dilation. Taps beyond the
// image are left out, so padding is never multiplied. The order of a sum does not depend on the tile,
// so tiles of a row may overlap.

// Input channel C (G = 0: c) of the group of each lane.
template <class T, int G, int C>
FASTCONV_LEAF Vec<T> input_of_groups(const T* x, int64_t c) {
  if constexpr (G == 0)
    return broadcast(x[c]);
  else
    return lane_of_group<T, G, C>(load(x));
}

// A bit for each of the first 32 columns from `first` on that is inside the source.
FASTCONV_LEAF uint64_t columns_inside(const Axis& columns, int64_t first) {
  const int64_t low = -first, high = columns.source - first;
  const int from = static_cast<int>(low < 0 ? 0 : low > 32 ? 32 : low);
  const int end = static_cast<int>(high < 0 ? 0 : high > 32 ? 32 : high);
  const uint64_t one = 1;
  return ((one << end) - 1) & ~((one << from) - 1);
}

// Adds the products of TAPS neighbouring taps with input channels C, C + 1 ... (G = 0: all). `x` and
// `w` are at the first pixel's first of these taps, from which on `inside` has a bit for each column.
template <class T, int G, int TAPS, int STRIDE, int PIXELS, int C>
FASTCONV_LEAF void add_input(const GroupedRow<T>& t, const T* x, const T* w, int64_t c,
                             uint64_t inside, Vec<T> (&acc)[PIXELS]) {
  Vec<T> weight[TAPS];
#pragma GCC unroll 4
  for (int b = 0; b < TAPS; ++b) {
    weight[b] = load(w + b * t.w_column);
    keep_in_register(weight[b]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < (PIXELS - 1) * STRIDE + TAPS; ++i, x += t.x_column) {
    if (!(inside >> i & 1)) continue;
    Vec<T> pixel = input_of_groups<T, G, C>(x, c);
    keep_in_register(pixel);
#pragma GCC unroll 4
    for (int b = 0; b < TAPS; ++b)
      if (i >= b && (i - b) % STRIDE == 0 && (i - b) / STRIDE < PIXELS)
        acc[(i - b) / STRIDE] += weight[b] * pixel;
  }
}
template <class T, int G, int TAPS, int STRIDE, int PIXELS, int C>
FASTCONV_LEAF void add_inputs(const GroupedRow<T>& t, const T* x, const T* w, uint64_t inside,
                              Vec<T> (&acc)[PIXELS]) {
  if constexpr (G == 0) {
    for (int64_t c = 0; c < t.inputs; ++c)
      add_input<T, G, TAPS, STRIDE, PIXELS, 0>(t, x, w + c * t.w_input, c, inside, acc);
  } else {
    add_input<T, G, TAPS, STRIDE, PIXELS, C>(t, x, w + C * t.w_input, 0, inside, acc);
    if constexpr (C + 1 < G) add_inputs<T, G, TAPS, STRIDE, PIXELS, C + 1>(t, x, w, inside, acc);
  }
}
template <class T, int G, int TAPS, int STRIDE, int PIXELS>
FASTCONV_LEAF void add_taps(const GroupedRow<T>& t, const T* x, const T* w, int64_t first,
                            int64_t b, Vec<T> (&acc)[PIXELS]) {
  static_assert(PIXELS + TAPS + 1 <= REGISTERS, "sums, weights and one x stay in registers");
  add_inputs<T, G, TAPS, STRIDE, PIXELS, 0>(t, x + b * t.x_column, w + b * t.w_column,
                                            columns_inside(t.columns, first + b), acc);
}

// One tap and input channels C, C + 1 ... (G = 0: all), at any stride and step.
template <class T, int G, int PIXELS, int C>
FASTCONV_LEAF void add_any(const GroupedRow<T>& t, const T* x, const T* w, int64_t first, int64_t b,
                           Vec<T> (&acc)[PIXELS]) {
  const int64_t inputs = G == 0 ? t.inputs : 1;
  for (int64_t c = 0; c < inputs; ++c) {
    const Vec<T> weight = load(w + b * t.w_column + (C + c) * t.w_input);
#pragma GCC unroll 8
    for (int p = 0; p < PIXELS; ++p) {
      const int64_t column = p * t.columns.stride + b * t.columns.step;
      if (first + column < 0 || first + column >= t.columns.source) continue;
      acc[p] += weight * input_of_groups<T, G, C>(x + column * t.x_column, c);
    }
  }
  if constexpr (C + 1 < G) add_any<T, G, PIXELS, C + 1>(t, x, w, first, b, acc);
}

template <class T, int G, int STRIDE, int PIXELS>
FASTCONV_LEAF void row_tile(const GroupedRow<T>& t, int64_t j, int64_t vector) {
  Vec<T> acc[PIXELS];
#pragma GCC unroll 8
  for (int p = 0; p < PIXELS; ++p) acc[p] = load(t.start + vector * LANES<T>);
  const int64_t m = vector + 1 == t.vectors ? t.last : vector * LANES<T>;
  const int64_t first = j * t.columns.stride + t.columns.first, taps = t.columns.taps;
  const T* x = t.x + first * t.x_column + (G == 0 ? 0 : m);
  const T* w = t.w + vector * t.w_vector;
  for (int64_t a = 0; a < t.rows; ++a, x += t.x_row, w += t.w_row) {
    int64_t b = 0;
    if constexpr (STRIDE == 0) {
      for (; b < taps; ++b) add_any<T, G, PIXELS, 0>(t, x, w, first, b, acc);
    } else {
      for (; b + 3 <= taps; b += 3) add_taps<T, G, 3, STRIDE, PIXELS>(t, x, w, first, b, acc);
      if (taps - b == 2) add_taps<T, G, 2, STRIDE, PIXELS>(t, x, w, first, b, acc);
      if (taps - b == 1) add_taps<T, G, 1, STRIDE, PIXELS>(t, x, w, first, b, acc);
    }
  }
  T* y = t.y + j * t.y_column + m;
#pragma GCC unroll 8
  for (int p = 0; p < PIXELS; ++p) store(y + p * t.y_column, acc[p]);
}

//             PIXELS columns ->                all lanes are of one group, so an element of x feeds two
//        +------+------+------+                vectors of outputs
//   m    | acc[v][p]          |  2 vectors     per tap and input channel: PIXELS elements of x and two
//        +------+------+------+                vectors of w feed 2 * PIXELS multiply-adds
template <class T, int PIXELS, bool EDGE>
FASTCONV_LEAF void pair_tile(const GroupedRow<T>& t, int64_t j, int64_t vector) {
  static_assert(2 * PIXELS + 3 <= REGISTERS, "sums, two weights and one x stay in registers");
  constexpr int TOGETHER = 3;  // pixels of one base address
  Vec<T> acc[2][PIXELS];
#pragma GCC unroll 2
  for (int v = 0; v < 2; ++v)
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p) acc[v][p] = load(t.start + (vector + v) * LANES<T>);
  const int64_t stride = t.columns.stride, pixel = stride * t.x_column;
  const int64_t first = j * stride + t.columns.first;
  const T* x_row = t.x + first * t.x_column;
  const T* w_row = t.w + vector * t.w_vector;
  for (int64_t a = 0; a < t.rows; ++a, x_row += t.x_row, w_row += t.w_row)
    for (int64_t b = 0; b < t.columns.taps; ++b) {
      const int64_t column = first + b * t.columns.step;
      const T* w = w_row + b * t.w_column;
      const T* x[PIXELS / TOGETHER];
#pragma GCC unroll 4
      for (int i = 0; i < PIXELS / TOGETHER; ++i)
        x[i] = x_row + b * t.columns.step * t.x_column + i * TOGETHER * pixel;
      for (int64_t c = 0; c < t.inputs; ++c, w += t.w_input) {
        Vec<T> low = load(w), high = load(w + t.w_vector);
        keep_in_register(low);
        keep_in_register(high);
#pragma GCC unroll 16
        for (int p = 0; p < PIXELS; ++p) {
          if (EDGE && (column + p * stride < 0 || column + p * stride >= t.columns.source))
            continue;
          Vec<T> value = broadcast(x[p / TOGETHER][p % TOGETHER * pixel + c]);
          keep_in_register(value);
          acc[0][p] += low * value;
          acc[1][p] += high * value;
        }
      }
    }
#pragma GCC unroll 2
  for (int v = 0; v < 2; ++v)
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p)
      store(t.y + (j + p) * t.y_column + (vector + v) * LANES<T>, acc[v][p]);
}

// The vectors of one group in pairs; one may be left.
template <class T, int PIXELS>
FASTCONV_LEAF int64_t pair_tiles(const GroupedRow<T>& t) {
  const Axis& s = t.columns;
  const int64_t pairs = s.outputs < PIXELS ? 0 : t.vectors / 2 * 2;
  const int64_t span = (s.taps - 1) * s.step;
  for (int64_t next = 0; next < s.outputs && pairs > 0; next += PIXELS) {
    const int64_t j = next + PIXELS > s.outputs ? s.outputs - PIXELS : next;
    const int64_t first = j * s.stride + s.first, last = first + (PIXELS - 1) * s.stride;
    const int64_t low = span < 0 ? first + span : first, high = span < 0 ? last : last + span;
    for (int64_t vector = 0; vector < pairs; vector += 2)
      if (low < 0 || high >= s.source)
        pair_tile<T, PIXELS, true>(t, j, vector);
      else
        pair_tile<T, PIXELS, false>(t, j, vector);
  }
  return pairs;
}

// All columns of the vectors from `from` on in tiles of PIXELS, at most `columns`; the last tile
// overlaps the one before it.
template <class T, int G, int STRIDE, int PIXELS>
FASTCONV_LEAF void row_tiles(const GroupedRow<T>& t, int64_t from) {
  const int64_t outputs = t.columns.outputs;
  for (int64_t next = 0; next < outputs && from < t.vectors; next += PIXELS) {
    const int64_t j = next + PIXELS > outputs ? outputs - PIXELS : next;
    for (int64_t vector = from; vector < t.vectors; ++vector)
      row_tile<T, G, STRIDE, PIXELS>(t, j, vector);
  }
}

template <class T, int G, int STRIDE>
void grouped_row(const GroupedRow<T>& t) {
  int64_t from = 0;
  if constexpr (G == 0 && STRIDE != 1) from = pair_tiles<T, PAIR_TILE>(t);
  if (t.columns.outputs >= WIDE_TILE)
    row_tiles<T, G, STRIDE, WIDE_TILE>(t, from);
  else if (t.columns.outputs >= NARROW_TILE)
    row_tiles<T, G, STRIDE, NARROW_TILE>(t, from);
  else
    row_tiles<T, G, STRIDE, 1>(t, from);
}
