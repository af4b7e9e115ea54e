// The gradient of depthwise filters over a band of rows (formula: table.h). Layer: cpu/depthwise,
// leaf kernels.

//           TAPS ->                            grad_y: PIXELS vectors, in registers
//         +------+------+------+               x: each vector is loaded once for a row of taps and
//   tap   | acc[a][b]          |               feeds every pair of a pixel and a tap that it joins
//   rows  +------+------+------+               per tile: PIXELS loads of grad_y, and for each row of
//                                              taps (PIXELS - 1) * STRIDE + TAPS loads of x, feed
//                                              PIXELS * TAP_ROWS * TAPS multiply-adds
// STRIDE = 0 serves every stride and dilation: one load for each multiply-add. EDGE leaves out taps
// beyond the image, so padding is never multiplied.
template <class T, int TAPS, int STRIDE, int TAP_ROWS, int PIXELS, bool EDGE>
FASTCONV_LEAF void sums_tile(const DepthwiseSums<T>& t, int64_t row, const T* grad_y, int64_t j,
                             Vec<T> (&acc)[TAP_ROWS][TAPS], Vec<T>& bias) {
  static_assert(TAP_ROWS * TAPS + PIXELS + 2 <= REGISTERS,
                "sums, grad_y, one x and the sum of grad_y stay in registers");
  Vec<T> g[PIXELS];
#pragma GCC unroll 8
  for (int p = 0; p < PIXELS; ++p) {
    g[p] = load(grad_y + (j + p) * t.y_column);
    keep_in_register(g[p]);
  }
  if (t.bias_sum) {
#pragma GCC unroll 8
    for (int p = 0; p < PIXELS; ++p) bias += g[p];
  }
  const int64_t first = j * t.columns.stride + t.columns.first;
  const int64_t low = -first, high = t.columns.source - first;  // columns inside the image
#pragma GCC unroll 8
  for (int a = 0; a < TAP_ROWS; ++a) {
    const int64_t source_row = row + a * t.row_step;
    if (source_row < 0 || source_row >= t.source_rows) continue;
    const T* x = t.x + source_row * t.x_row + first * t.x_column;
    if constexpr (STRIDE == 0) {
#pragma GCC unroll 8
      for (int p = 0; p < PIXELS; ++p)
#pragma GCC unroll 8
        for (int b = 0; b < TAPS; ++b) {
          const int64_t column = p * t.columns.stride + b * t.columns.step;
          if (EDGE && (column < low || column >= high)) continue;
          acc[a][b] += g[p] * load(x + column * t.x_column);
        }
    } else {
#pragma GCC unroll 32
      for (int i = 0; i < (PIXELS - 1) * STRIDE + TAPS; ++i, x += t.x_column) {
        if (EDGE && (i < low || i >= high)) continue;
        Vec<T> pixel = load(x);
        keep_in_register(pixel);
#pragma GCC unroll 8
        for (int b = 0; b < TAPS; ++b)
          if (i >= b && (i - b) % STRIDE == 0 && (i - b) / STRIDE < PIXELS)
            acc[a][b] += g[(i - b) / STRIDE] * pixel;
      }
    }
  }
}

template <class T, int TAPS, int STRIDE, int TAP_ROWS>
void depthwise_sums(const DepthwiseSums<T>& t) {
  Vec<T> acc[TAP_ROWS][TAPS] = {}, bias{};
  const DepthwiseColumns& s = t.columns;
  constexpr int PIXELS = SUMS_TILE;
  const int64_t span = (PIXELS - 1) * s.stride + (TAPS - 1) * s.step;
  for (int64_t i = 0; i < t.rows; ++i) {
    const int64_t row = t.first_row + i * t.row_stride;
    const T* grad_y = t.grad_y + i * t.y_row;
    int64_t j = 0;
    for (; j + PIXELS <= s.outputs; j += PIXELS) {
      if (t.x_ahead != 0) {
        const T* x = t.x + row * t.x_row + j * s.stride * t.x_column + t.x_ahead;
        for (int64_t r = 0; r < t.row_stride; ++r)
          for (int64_t k = 0; k < PIXELS * s.stride; ++k)
            __builtin_prefetch(x + r * t.x_row + k * t.x_column, 0, 2);
#pragma GCC unroll 8
        for (int p = 0; p < PIXELS; ++p)
          __builtin_prefetch(grad_y + (j + p) * t.y_column + t.y_ahead, 0, 2);
      }
      const int64_t first = j * s.stride + s.first;
      if (first < 0 || first + span >= s.source)
        sums_tile<T, TAPS, STRIDE, TAP_ROWS, PIXELS, true>(t, row, grad_y, j, acc, bias);
      else
        sums_tile<T, TAPS, STRIDE, TAP_ROWS, PIXELS, false>(t, row, grad_y, j, acc, bias);
    }
    for (; j < s.outputs; ++j)
      sums_tile<T, TAPS, STRIDE, TAP_ROWS, 1, true>(t, row, grad_y, j, acc, bias);
  }
#pragma GCC unroll 8
  for (int a = 0; a < TAP_ROWS; ++a)
#pragma GCC unroll 8
    for (int b = 0; b < TAPS; ++b) {
      SumOf<T>* at = t.sums + a * t.sums_row + b * LANES<T>;
      store(at, load(at) + acc[a][b]);
    }
  if (t.bias_sum) store(t.bias_sum, load(t.bias_sum) + bias);
}
