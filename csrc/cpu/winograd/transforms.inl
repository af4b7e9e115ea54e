// Winograd's transforms between pixels and points, with lanes = channels and with lanes = tiles.
// Layer: cpu/winograd, leaf kernels.

// A 1-D convolution of n = OUT + K - 1 = 6 samples is a product of polynomials. It is found from
// their values at 6 points p: 0, a, -a, b, -b and infinity, where a = 5/8 and b = 3/2: a^2 and b^2
// are exact, and errors are a third of those of the usual 1 and 2. With N(p) = product of (p - q)
// over the other finite points q, and N(infinity) = 1:
//
//   evaluate<n>   E[p][i] = p^i, E[infinity] picks the last       (6 x n)
//   input         B^T[p] = coefficients of the product of (x - q) over the other finite points
//                                                               (6 x 6; the filter has 1/N(p))
//
//   forward          y = E<OUT>^T ( (E<K> g / N) . (B^T d) )        evaluated in both axes
//   backward_weight  g = (E<K>^T / N) ( (E<OUT> dy) . (B^T d) )     the adjoint
//
// tests/kernels/test_winograd.py derives these matrices from the points in exact arithmetic.

constexpr int POINTS = WINOGRAD_POINTS;
constexpr double POINT_A = 0.625, POINT_B = 1.5;
constexpr double A2 = POINT_A * POINT_A, B2 = POINT_B * POINT_B;
constexpr double SCALE_0 = 1 / (A2 * B2), SCALE_A = 1 / (2 * A2 * (A2 - B2)),
                 SCALE_B = 1 / (2 * B2 * (B2 - A2));

// B^T d. Two opposite points share their even and odd parts.
struct InputTransform {
  static constexpr int FROM = POINTS, TO = POINTS;

  template <class T>
  static FASTCONV_LEAF void apply(const Vec<T>* d, Vec<T>* v) {
    const Vec<T> even_a = fma(T(-B2), d[2], d[4]), odd_a = fma(T(-B2), d[1], d[3]);
    const Vec<T> even_b = fma(T(-A2), d[2], d[4]), odd_b = fma(T(-A2), d[1], d[3]);
    v[0] = fma(T(A2 * B2), d[0], fma(T(-A2 - B2), d[2], d[4]));
    v[1] = fma(T(POINT_A), odd_a, even_a);
    v[2] = fma(T(-POINT_A), odd_a, even_a);
    v[3] = fma(T(POINT_B), odd_b, even_b);
    v[4] = fma(T(-POINT_B), odd_b, even_b);
    v[5] = fma(T(A2 * B2), d[1], fma(T(-A2 - B2), d[3], d[5]));
  }
};

constexpr double power(double base, int exponent) {
  return exponent == 0 ? 1 : base * power(base, exponent - 1);
}

// E<N> g, divided by N(p) if SCALED.
template <int N, bool SCALED>
struct Evaluate {
  static constexpr int FROM = N, TO = POINTS;

  template <class T>
  static FASTCONV_LEAF void apply(const Vec<T>* g, Vec<T>* u) {
    u[0] = SCALED ? T(SCALE_0) * g[0] : g[0];
    pair<T>(g, POINT_A, SCALED ? SCALE_A : 1, u[1], u[2]);
    pair<T>(g, POINT_B, SCALED ? SCALE_B : 1, u[3], u[4]);
    u[5] = g[N - 1];
  }

 private:
  template <class T>
  static FASTCONV_LEAF void pair(const Vec<T>* g, double p, double scale, Vec<T>& plus,
                                 Vec<T>& minus) {
    Vec<T> even = g[(N - 1) / 2 * 2], odd = g[N / 2 * 2 - 1];  // Horner's rule in p^2
#pragma GCC unroll 4
    for (int i = (N - 1) / 2 * 2 - 2; i >= 0; i -= 2) even = fma(T(p * p), even, g[i]);
#pragma GCC unroll 4
    for (int i = N / 2 * 2 - 3; i >= 1; i -= 2) odd = fma(T(p * p), odd, g[i]);
    plus = T(scale) * fma(T(p), odd, even);
    minus = T(scale) * fma(T(-p), odd, even);
  }
};

// E<N>^T m, with m divided by N(p) if SCALED.
template <int N, bool SCALED>
struct EvaluateTransposed {
  static constexpr int FROM = POINTS, TO = N;

  template <class T>
  static FASTCONV_LEAF void apply(const Vec<T>* m, Vec<T>* y) {
    const Vec<T> sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const Vec<T> sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    constexpr double by_a = SCALED ? SCALE_A : 1, by_b = SCALED ? SCALE_B : 1;
    if constexpr (SCALED)
      y[0] = fma(T(by_b), sum_b, fma(T(by_a), sum_a, T(SCALE_0) * m[0]));
    else
      y[0] = m[0] + sum_a + sum_b;
#pragma GCC unroll 8
    for (int i = 1; i < N; ++i) {
      const Vec<T> at_a = i % 2 ? difference_a : sum_a, at_b = i % 2 ? difference_b : sum_b;
      const T of_a = T(by_a * power(POINT_A, i)), of_b = T(by_b * power(POINT_B, i));
      y[i] = fma(of_b, at_b, i == N - 1 ? fma(of_a, at_a, m[5]) : of_a * at_a);
    }
  }
};

template <class T>
FASTCONV_LEAF void store_point(bool past_caches, T* to, Vec<T> v) {
  if (past_caches)
    stream(to, v);
  else
    store(to, v);
}

// Transforms the pixels of `count` neighbouring tiles to points, in both axes. With SUMMED it also
// adds the pixels to t.sum unless that is null. Each tile has a sum of its own, so that sums are
// short.
template <class T, class Transform, bool SUMMED = false>
void to_points(const WinogradTiles<T>& t) {
  constexpr int FROM = Transform::FROM;
  const T* __restrict__ pixels = t.pixels_in;
  Vec<T> total{};
  for (int64_t tile = 0; tile < t.count; ++tile) {
    T* __restrict__ points = t.points_out + (t.position ? t.position[tile] : tile) * t.point_tile;
    Vec<T> columns[FROM][POINTS];
    [[maybe_unused]] Vec<T> tile_sum{};
#pragma GCC unroll 8
    for (int q = 0; q < FROM; ++q) {
      Vec<T> column[FROM];
#pragma GCC unroll 8
      for (int r = 0; r < FROM; ++r) column[r] = load(pixels + r * t.pixel_row + q * LANES<T>);
      Transform::template apply<T>(column, columns[q]);
      if constexpr (SUMMED) {
        Vec<T> sum = column[0];
#pragma GCC unroll 8
        for (int r = 1; r < FROM; ++r) sum += column[r];
        tile_sum += sum;
      }
    }
    if constexpr (SUMMED) total += tile_sum;
#pragma GCC unroll 8
    for (int i = 0; i < POINTS; ++i) {
      Vec<T> row[FROM], out[POINTS];
#pragma GCC unroll 8
      for (int q = 0; q < FROM; ++q) row[q] = columns[q][i];
      Transform::template apply<T>(row, out);
#pragma GCC unroll 8
      for (int j = 0; j < POINTS; ++j)
        store_point<T>(t.stream, points + (i * POINTS + j) * t.point, out[j]);
    }
    pixels += t.pixel_tile;
  }
  if constexpr (SUMMED)
    if (t.sum) store(t.sum, load(t.sum) + total);
}

// Inverse transforms sum the squares of the values that they see, with one multiply-add per value.
// The sum is finite if all values are finite and below the root of the largest number (2^64 in
// float32). Larger values that cancel exactly in a plain sum would leave errors as large as other
// results.
template <class T>
FASTCONV_LEAF bool is_finite(Vec<T> squares) {
  bool finite = true;
#pragma GCC unroll 16
  for (int lane = 0; lane < LANES<T>; ++lane) finite &= squares[lane] - squares[lane] == 0;
  return finite;
}

// Transforms points to pixels, in both axes, and adds a bias per lane. Returns is_finite of the
// pixels before the bias, or of the points if POINTS_SEEN, because a large point of a sum over many
// tiles may cancel.
template <class T, class Transform, bool POINTS_SEEN>
bool from_points(const WinogradTiles<T>& t) {
  constexpr int TO = Transform::TO;
  const T* __restrict__ points = t.points_in;
  T* __restrict__ pixels = t.pixels_out;
  const Vec<T> bias = t.bias ? load(t.bias) : Vec<T>{};
  Vec<T> squares{};
  for (int64_t tile = 0; tile < t.count; ++tile) {
    Vec<T> columns[POINTS][TO];
#pragma GCC unroll 8
    for (int j = 0; j < POINTS; ++j) {
      Vec<T> column[POINTS];
#pragma GCC unroll 8
      for (int i = 0; i < POINTS; ++i) {
        column[i] = load(points + (i * POINTS + j) * t.point);
        if constexpr (POINTS_SEEN) squares += column[i] * column[i];
      }
      Transform::template apply<T>(column, columns[j]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < TO; ++r) {
      Vec<T> row[POINTS], out[TO];
#pragma GCC unroll 8
      for (int j = 0; j < POINTS; ++j) row[j] = columns[j][r];
      Transform::template apply<T>(row, out);
#pragma GCC unroll 8
      for (int q = 0; q < TO; ++q) {
        if constexpr (!POINTS_SEEN) squares += out[q] * out[q];
        store(pixels + r * t.pixel_row + q * LANES<T>, out[q] + bias);
      }
    }
    points += t.point_tile;
    pixels += t.pixel_tile;
  }
  return is_finite<T>(squares);
}

// Turn OUT vectors of pixels, with LANES / OUT tiles each, into OUT columns of LANES tiles, and
// back. Tile i has lane i if OUT is 2, and the lane of WinogradRows if OUT is 4.
template <class T, int OUT>
FASTCONV_LEAF void pixels_to_columns(Vec<T>* a) {
  if constexpr (OUT == 4) {
    transpose_quads<T>(a);
  } else {
    const Vec<T> even = even_lanes<T>(a[0], a[1]);
    a[1] = odd_lanes<T>(a[0], a[1]);
    a[0] = even;
  }
}
template <class T, int OUT>
FASTCONV_LEAF void columns_to_pixels(Vec<T>* a) {
  if constexpr (OUT == 4) {
    transpose_quads<T>(a);
  } else {
    const Vec<T> low = zip<T, 0>(a[0], a[1]);
    a[1] = zip<T, 1>(a[0], a[1]);
    a[0] = low;
  }
}

// Makes the six columns of tiles that are two pixels apart and come in pairs. Pair i has eight
// pixels at at(i). Its even pixels e0 ... e3 give columns 0, 2 and 4 of both tiles: (e0, e1), (e1,
// e2), (e2, e3). Its odd pixels give columns 1, 3 and 5.
template <class T, class At>
FASTCONV_LEAF void pairs_to_columns(const At& at, Vec<T>* d) {
  constexpr int PAIRS = LANES<T> / 8;  // of a vector
  Vec<T> pixels[4];
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s)
    pixels[s] = load_pieces<T, 8>([&](int i) { return at(s * PAIRS + i); });
  const Vec<T> even[] = {even_lanes<T>(pixels[0], pixels[1]), even_lanes<T>(pixels[2], pixels[3])};
  const Vec<T> odd[] = {odd_lanes<T>(pixels[0], pixels[1]), odd_lanes<T>(pixels[2], pixels[3])};
  d[0] = two_of_four<T, 0>(even[0], even[1]);
  d[1] = two_of_four<T, 0>(odd[0], odd[1]);
  d[2] = two_of_four<T, 1>(even[0], even[1]);
  d[3] = two_of_four<T, 1>(odd[0], odd[1]);
  d[4] = two_of_four<T, 2>(even[0], even[1]);
  d[5] = two_of_four<T, 2>(odd[0], odd[1]);
}

// Transforms pixels to points with lanes = tiles of one channel. Pixels lie as in the image. Column
// OUT + q of a tile is column q of the pixels that lie OUT to the right. Vectors of pixels are
// loaded in pieces of whole tiles.
template <class T, int OUT, int PIECE>
void rows_to_points(const WinogradRows<T>& t) {
  constexpr int TILES = LANES<T> / OUT, RUN = PIECE / OUT;
  const T* __restrict__ pixels = t.pixels_in;
  T* __restrict__ points = t.points_out;
  const int32_t* offset = t.offset;
  for (int64_t v = 0; v < t.count; ++v) {
    Vec<T> rows[POINTS][POINTS];
#pragma GCC unroll 8
    for (int r = 0; r < POINTS; ++r) {
      const T* row = pixels + r * t.pixel_row;
      Vec<T> d[8];  // columns of the tiles
      if constexpr (OUT == 2 && RUN == 2 && LANES<T> >= 8) {
        pairs_to_columns<T>([&](int i) { return row + offset[i * RUN]; }, d);
      } else {
#pragma GCC unroll 4
        for (int q = 0; q < POINTS; q += OUT) {
#pragma GCC unroll 4
          for (int s = 0; s < OUT; ++s)
            d[q + s] =
                load_pieces<T, PIECE>([&](int i) { return row + q + offset[s * TILES + i * RUN]; });
          pixels_to_columns<T, OUT>(d + q);
        }
      }
      InputTransform::apply<T>(d, rows[r]);
    }
#pragma GCC unroll 8
    for (int j = 0; j < POINTS; ++j) {
      Vec<T> column[POINTS], out[POINTS];
#pragma GCC unroll 8
      for (int r = 0; r < POINTS; ++r) column[r] = rows[r][j];
      InputTransform::apply<T>(column, out);
#pragma GCC unroll 8
      for (int i = 0; i < POINTS; ++i)
        store_point<T>(t.stream, points + (i * POINTS + j) * t.point, out[i]);
    }
    offset += LANES<T>;
    points += LANES<T>;
  }
}

// The inverse for outputs. Returns is_finite of the pixels before the bias.
template <class T, int OUT, int PIECE>
bool rows_from_points(const WinogradRows<T>& t) {
  constexpr int TILES = LANES<T> / OUT, RUN = PIECE / OUT;
  using Transform = EvaluateTransposed<OUT, false>;
  const T* __restrict__ points = t.points_in;
  T* __restrict__ pixels = t.pixels_out;
  const int32_t* offset = t.offset;
  const Vec<T> bias = broadcast(t.bias);
  Vec<T> squares{};
  for (int64_t v = 0; v < t.count; ++v) {
    Vec<T> columns[POINTS][OUT];
#pragma GCC unroll 8
    for (int j = 0; j < POINTS; ++j) {
      Vec<T> column[POINTS];
#pragma GCC unroll 8
      for (int i = 0; i < POINTS; ++i) column[i] = load(points + (i * POINTS + j) * t.point);
      Transform::template apply<T>(column, columns[j]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < OUT; ++r) {
      T* to = pixels + r * t.pixel_row;
      Vec<T> row[POINTS], out[OUT];
#pragma GCC unroll 8
      for (int j = 0; j < POINTS; ++j) row[j] = columns[j][r];
      Transform::template apply<T>(row, out);
#pragma GCC unroll 4
      for (int q = 0; q < OUT; ++q) {
        squares += out[q] * out[q];
        out[q] += bias;
      }
      columns_to_pixels<T, OUT>(out);
#pragma GCC unroll 4
      for (int s = 0; s < OUT; ++s)
        store_pieces<T, PIECE>([&](int i) { return to + offset[s * TILES + i * RUN]; }, out[s]);
    }
    points += LANES<T>;
    offset += LANES<T>;
  }
  return is_finite<T>(squares);
}
