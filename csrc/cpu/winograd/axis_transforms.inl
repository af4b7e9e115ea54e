// Winograd's transforms of one axis, and what the transforms of both axes share.
// Layer: cpu/winograd, leaf kernels.

// A 1-D convolution of n = OUT + K - 1 = 6 samples is a product of polynomials. It is found from
// their values at 6 points p: 0, a, -a, b, -b and infinity, where a = 5/8 and b = 3/2. a^2 and b^2
// are exact, and errors are a third as large as with the usual points 1 and 2. With N(p) = product
// of (p - q) over the other finite points q, and N(infinity) = 1:
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
FASTCONV_LEAF void store_point(bool non_temporal, T* to, Vec<T> v) {
  if (non_temporal)
    stream(to, v);
  else
    store(to, v);
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
