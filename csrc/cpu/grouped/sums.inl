// The gradient of grouped filters over a band of rows (formula: table.h). Layer: cpu/grouped, leaf
// kernels.

//           TAPS ->                            grad_y: PIXELS vectors, in registers
//         +------+------+------+               x: for each input channel a vector, in which every lane
//   input | acc[c][b]          |               has the channel of its own group, feeds every pair of a
//         +------+------+------+               pixel and a tap that it joins
//   per tile: PIXELS loads of grad_y, and ((PIXELS - 1) * STRIDE + TAPS) * INPUTS vectors of x feed
//   PIXELS * INPUTS * TAPS multiply-adds
// STRIDE = 0 serves every stride and dilation. Taps beyond the image are left out.

// Pixels of a tile: what is left beside the sums, one x and the sum of grad_y, at most 4.
constexpr int sums_pixels(int sums) {
  const int pixels = REGISTERS - 2 - sums;
  return pixels < 1 ? 1 : pixels < 4 ? pixels : 4;
}

// Adds the products of input channel C of each group to the sums of that channel.
template <class T, int G, int TAPS, int STRIDE, int PIXELS, int INPUTS, int C>
FASTCONV_LEAF void add_products(const T* x, int i, const Vec<T> (&g)[PIXELS],
                                Vec<T> (&acc)[INPUTS][TAPS]) {
  Vec<T> pixel = input_of_groups<T, G, C>(x, C);
  keep_in_register(pixel);
#pragma GCC unroll 4
  for (int b = 0; b < TAPS; ++b)
    if (i >= b && (i - b) % STRIDE == 0 && (i - b) / STRIDE < PIXELS)
      acc[C][b] += g[(i - b) / STRIDE] * pixel;
  if constexpr (C + 1 < INPUTS)
    add_products<T, G, TAPS, STRIDE, PIXELS, INPUTS, C + 1>(x, i, g, acc);
}
template <class T, int G, int TAPS, int INPUTS, int C>
FASTCONV_LEAF void add_product(const T* x, int b, Vec<T> g, Vec<T> (&acc)[INPUTS][TAPS]) {
  acc[C][b] += g * input_of_groups<T, G, C>(x, C);
  if constexpr (C + 1 < INPUTS) add_product<T, G, TAPS, INPUTS, C + 1>(x, b, g, acc);
}

template <class T, int G, int TAPS, int STRIDE, int PIXELS, int INPUTS>
FASTCONV_LEAF void sums_tile(const GroupedSums<T>& t, const T* x_row, const T* grad_y, int64_t j,
                             Vec<T> (&acc)[INPUTS][TAPS], Vec<T>& bias) {
  Vec<T> g[PIXELS];
#pragma GCC unroll 4
  for (int p = 0; p < PIXELS; ++p) {
    g[p] = load(grad_y + (j + p) * t.y_column);
    keep_in_register(g[p]);
  }
  if (t.bias_sum) {
#pragma GCC unroll 4
    for (int p = 0; p < PIXELS; ++p) bias += g[p];
  }
  if (!x_row) return;
  const int64_t first = j * t.columns.stride + t.columns.first;
  const T* x = x_row + first * t.x_column;
  if constexpr (STRIDE == 0) {
#pragma GCC unroll 4
    for (int p = 0; p < PIXELS; ++p)
#pragma GCC unroll 4
      for (int b = 0; b < TAPS; ++b) {
        const int64_t column = p * t.columns.stride + b * t.columns.step;
        if (first + column < 0 || first + column >= t.columns.source) continue;
        add_product<T, G, TAPS, INPUTS, 0>(x + column * t.x_column, b, g[p], acc);
      }
  } else {
    const uint64_t inside = columns_inside(t.columns, first);
#pragma GCC unroll 16
    for (int i = 0; i < (PIXELS - 1) * STRIDE + TAPS; ++i, x += t.x_column)
      if (inside >> i & 1) add_products<T, G, TAPS, STRIDE, PIXELS, INPUTS, 0>(x, i, g, acc);
  }
}

template <class T, int G, int TAPS, int STRIDE, int INPUTS>
void grouped_sums(const GroupedSums<T>& t) {
  constexpr int PIXELS = sums_pixels(TAPS * INPUTS);
  static_assert(TAPS * INPUTS + PIXELS + 1 <= REGISTERS,
                "sums, grad_y and one x stay in registers");
  Vec<T> acc[INPUTS][TAPS] = {}, bias{};
  for (int64_t i = 0; i < t.rows; ++i) {
    const int64_t row = t.first_row + i * t.row_stride;
    const bool inside = row >= 0 && row < t.source_rows;
    if (!inside && !t.bias_sum) continue;
    const T* x = inside ? t.x + row * t.x_row : nullptr;
    const T* grad_y = t.grad_y + i * t.y_row;
    int64_t j = 0;
    for (; j + PIXELS <= t.columns.outputs; j += PIXELS)
      sums_tile<T, G, TAPS, STRIDE, PIXELS, INPUTS>(t, x, grad_y, j, acc, bias);
    if constexpr (PIXELS > 1)
      for (; j < t.columns.outputs; ++j)
        sums_tile<T, G, TAPS, STRIDE, 1, INPUTS>(t, x, grad_y, j, acc, bias);
  }
#pragma GCC unroll 8
  for (int c = 0; c < INPUTS; ++c)
#pragma GCC unroll 4
    for (int b = 0; b < TAPS; ++b) {
      T* at = t.sums + c * t.sums_input + b * LANES<T>;
      store(at, load(at) + acc[c][b]);
    }
  if (t.bias_sum) store(t.bias_sum, load(t.bias_sum) + bias);
}
