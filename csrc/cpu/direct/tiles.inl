// The four register tiles of direct convolution (formulas: table.h). Each keeps its sums in
// registers. correlate.cpp and weight.cpp have the loops over tiles. Layer: cpu/direct, leaf
// kernels.

//              pixels ->  VECTORS * LANES      w: packed [taps][CHANNELS], read once, in order
//           +---------+---------+              x: one vector load per tap and pixel vector
//   channel | acc[m][v]         |
//           +---------+---------+              per tap: VECTORS loads + CHANNELS broadcasts
//                                              feed CHANNELS * VECTORS multiply-adds
template <class T, int CHANNELS, int VECTORS>
void pixel_tile(const PixelTile<T>& t) {
  static_assert(CHANNELS * VECTORS + VECTORS + 1 <= REGISTERS,
                "accumulators, one vector of pixels each and one weight stay in registers");
  static_assert(VECTORS <= DirectKernels<T>::MAX_VECTORS,
                "drivers keep tables of that many vectors");
  const T* __restrict__ x[VECTORS];
  Vec<T> acc[CHANNELS][VECTORS];
#pragma GCC unroll 16
  for (int v = 0; v < VECTORS; ++v) x[v] = t.x + t.x_offset[v];
#pragma GCC unroll 16
  for (int m = 0; m < CHANNELS; ++m)
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; ++v) acc[m][v] = broadcast(t.bias[m]);

  const T* __restrict__ w = t.w;
  const int32_t* __restrict__ tap = t.tap;
  for (int64_t i = 0; i < t.taps; ++i, w += CHANNELS) {
    Vec<T> pixels[VECTORS];
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; ++v) {
      pixels[v] = load(x[v] + tap[i]);
      keep_in_register(pixels[v]);
    }
#pragma GCC unroll 16
    for (int m = 0; m < CHANNELS; ++m) {
      const Vec<T> weight = broadcast(w[m]);
#pragma GCC unroll 16
      for (int v = 0; v < VECTORS; ++v) acc[m][v] += weight * pixels[v];
    }
  }

#pragma GCC unroll 16
  for (int m = 0; m < CHANNELS; ++m) {
    if (m >= t.channels) break;
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; ++v)
      if (v < t.vectors) store_first(t.y + m * t.y_channel + t.y_offset[v], acc[m][v], t.lanes[v]);
  }
}

//           channels ->  VECTORS * LANES       w: packed [taps][VECTORS * LANES], read in order
//         +---------+---------+                x: one broadcast per tap and pixel
//   pixel | acc[p][v]         |
//         +---------+---------+                per tap: VECTORS loads + PIXELS broadcasts
//                                              feed PIXELS * VECTORS multiply-adds
template <class T, int VECTORS, int PIXELS>
void channel_tile(const ChannelTile<T>& t) {
  static_assert(PIXELS * VECTORS + VECTORS + 1 <= REGISTERS,
                "accumulators, the weights of one tap and one pixel stay in registers");
  Vec<T> acc[PIXELS][VECTORS];
#pragma GCC unroll 16
  for (int p = 0; p < PIXELS; ++p)
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; ++v) acc[p][v] = load(t.bias + v * LANES<T>);

  const T* __restrict__ w = t.w;
  const int32_t* __restrict__ tap = t.tap;
  for (int64_t i = 0; i < t.taps; ++i, w += VECTORS * LANES<T>) {
    const T* __restrict__ x = t.x + tap[i];
    Vec<T> weights[VECTORS];
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; ++v) {
      weights[v] = load(w + v * LANES<T>);
      keep_in_register(weights[v]);
    }
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p) {
      const Vec<T> pixel = broadcast(x[p]);
#pragma GCC unroll 16
      for (int v = 0; v < VECTORS; ++v) acc[p][v] += pixel * weights[v];
    }
  }

#pragma GCC unroll 16
  for (int p = 0; p < PIXELS; ++p)
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; ++v) {
      const int channels = t.channels - v * LANES<T>;
      if (channels >= LANES<T>)
        store(t.y + p * t.y_pixel + v * LANES<T>, acc[p][v]);
      else if (channels > 0)
        store_partial(t.y + p * t.y_pixel + v * LANES<T>, acc[p][v], channels);
    }
}

//         channels ->  VECTORS * LANES         grad_y: packed [pixels][VECTORS * LANES]
//       +---------+---------+                  x: one broadcast per pixel and tap
//   tap | acc[t][v]         |
//       +---------+---------+                  per pixel: VECTORS loads + TAPS broadcasts
//                                              feed TAPS * VECTORS multiply-adds
template <class T, int VECTORS, int TAPS>
void weight_tile(const WeightTile<T>& t) {
  static_assert(TAPS * VECTORS + VECTORS + 1 <= REGISTERS,
                "accumulators, one pixel of grad_y and one of x stay in registers");
  const T* __restrict__ x[TAPS];
  Vec<T> acc[TAPS][VECTORS];
#pragma GCC unroll 16
  for (int k = 0; k < TAPS; ++k) x[k] = t.x + t.tap[k];
#pragma GCC unroll 16
  for (int k = 0; k < TAPS; ++k)
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; ++v) acc[k][v] = Vec<T>{};

  const T* __restrict__ grad_y = t.grad_y;
  for (int64_t i = 0; i < t.rows; ++i) {
    for (int64_t at = i * t.x_row; at < i * t.x_row + t.columns;
         ++at, grad_y += VECTORS * LANES<T>) {
      Vec<T> g[VECTORS];
#pragma GCC unroll 16
      for (int v = 0; v < VECTORS; ++v) {
        g[v] = load(grad_y + v * LANES<T>);
        keep_in_register(g[v]);
      }
#pragma GCC unroll 16
      for (int k = 0; k < TAPS; ++k) {
        const Vec<T> pixel = broadcast(x[k][at]);
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; ++v) acc[k][v] += pixel * g[v];
      }
    }
  }

#pragma GCC unroll 16
  for (int k = 0; k < TAPS; ++k)
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; ++v) {
      T* at = t.grad_w + (k * VECTORS + v) * LANES<T>;
      store(at, load(at) + acc[k][v]);
    }
}

//            taps ->  lanes: pixels           grad_y: CHANNELS vectors of a row, in registers
//         +---------+---------+               x: one vector load per tap, at the tap's distance
//   channel | acc[m][t]       |
//         +---------+---------+               per vector of pixels: CHANNELS + TAPS loads
//                                             feed CHANNELS * TAPS multiply-adds
// Lanes after the end of a row are not read: what lies there may be NaN.
template <class T, int CHANNELS, int TAPS>
FASTCONV_LEAF void add_pixels(const T* grad_y, int64_t y_channel, const T* const (&x)[TAPS],
                              int64_t at, int count, Vec<T> (&acc)[CHANNELS][TAPS]) {
  Vec<T> g[CHANNELS];
#pragma GCC unroll 16
  for (int m = 0; m < CHANNELS; ++m) {
    g[m] = load_first(grad_y + m * y_channel, count);
    keep_in_register(g[m]);
  }
#pragma GCC unroll 16
  for (int k = 0; k < TAPS; ++k) {
    Vec<T> pixels = load_first(x[k] + at, count);
    keep_in_register(pixels);
#pragma GCC unroll 16
    for (int m = 0; m < CHANNELS; ++m) acc[m][k] += g[m] * pixels;
  }
}

template <class T, int CHANNELS, int TAPS>
void weight_pixel_tile(const WeightPixelTile<T>& t) {
  static_assert(CHANNELS * TAPS + CHANNELS + 1 <= REGISTERS,
                "accumulators, one vector of pixels each and one of x stay in registers");
  const int64_t y_channel = t.y_channel, columns = t.columns, x_row = t.x_row;
  const int rest = static_cast<int>(columns % LANES<T>);
  const T* x[TAPS];
  Vec<T> acc[CHANNELS][TAPS] = {};
#pragma GCC unroll 16
  for (int k = 0; k < TAPS; ++k) x[k] = t.x + t.tap[k];
  const T* grad_y = t.grad_y;
  for (int64_t i = 0; i < t.rows; ++i) {
    int64_t at = i * x_row;
    for (const T* end = grad_y + columns - rest; grad_y < end; grad_y += LANES<T>, at += LANES<T>)
      add_pixels<T, CHANNELS, TAPS>(grad_y, y_channel, x, at, LANES<T>, acc);
    if (rest == 0) continue;
    add_pixels<T, CHANNELS, TAPS>(grad_y, y_channel, x, at, rest, acc);
    grad_y += rest;
  }
#pragma GCC unroll 16
  for (int m = 0; m < CHANNELS; ++m)
#pragma GCC unroll 16
    for (int k = 0; k < TAPS; ++k) {
      T* to = t.sums + m * t.sums_channel + k * LANES<T>;
      store(to, load(to) + acc[m][k]);
    }
}
