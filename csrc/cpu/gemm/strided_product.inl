// The register tile of products with strides known at run time:
//   c[m][n] = start + sum over k of a(m, k) * b[k][n]     for ROWS rows m and VECTORS vectors n
// Layer: cpu/gemm, leaf kernel.

//           n ->  VECTORS * LANES      b: VECTORS vectors of a row, b_row apart; each is read once
//         +---------+---------+        a: ROWS broadcasts, a_row apart; a step of k is a_step
//       m | sum[m][v]         |        c: written once, or read and written once with `add`
//         +---------+---------+        per k: VECTORS loads + ROWS broadcasts feed
//                                      ROWS * VECTORS multiply-adds
// K is at most LONGEST_SUM, so one sum in registers is short enough for its rounding. A tile reads
// its rows of a for the first time, from L2 or L3. It therefore prefetches the rows of the next tile,
// a line of each row for every line that it reads of its own.
struct SingleTerm {
  template <class T>
  static FASTCONV_LEAF Vec<T> read(const T* a) {
    return broadcast(*a);
  }
  template <class V>
  static FASTCONV_LEAF V add(V a, V b, V sum) {
    return sum + a * b;
  }
};

// Term: what a step of k adds. (pairs/pair.inl has the other.)
template <class T, int VECTORS, int ROWS, class Term = SingleTerm>
void strided_product(const StridedProduct<T>& p) {
  static_assert(ROWS * VECTORS + VECTORS + 1 <= REGISTERS,
                "sums, one row of b and one broadcast stay in registers");
  constexpr int64_t LINE = 64 / static_cast<int>(sizeof(T));
  const int64_t a_row = p.a_row, a_step = p.a_step, b_row = p.b_row;
  Vec<T> sum[ROWS][VECTORS];
#pragma GCC unroll 16
  for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) sum[m][v] = Vec<T>{};
  const T* __restrict__ b = p.b;
  const T* __restrict__ a = p.a;
  const T* next = p.a + ROWS * a_row;
  for (int64_t left = p.K; left > 0; left -= LINE) {
    const int64_t steps = left < LINE ? left : LINE;
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m) __builtin_prefetch(next + m * a_row);
    next += LINE * a_step;
    for (int64_t k = 0; k < steps; ++k, b += b_row, a += a_step) {
      Vec<T> row[VECTORS];
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) {
        row[v] = load(b + v * LANES<T>);
        keep_in_register(row[v]);
      }
#pragma GCC unroll 16
      for (int m = 0; m < ROWS; ++m) {
        const Vec<T> weight = Term::read(a + m * a_row);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) sum[m][v] = Term::add(weight, row[v], sum[m][v]);
      }
    }
  }
  T* __restrict__ c = p.c;
  const int64_t c_row = p.c_row;
  if (p.add) {
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[m][v] += load(c + m * c_row + v * LANES<T>);
  } else if (p.row_start) {
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[m][v] += broadcast(p.row_start[m]);
  } else if (p.column_start) {
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[m][v] += load(p.column_start + v * LANES<T>);
  }
#pragma GCC unroll 16
  for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) store(c + m * c_row + v * LANES<T>, sum[m][v]);
}
