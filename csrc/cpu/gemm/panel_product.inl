// The register tile of matrix products:
//   c[m][n] (+)= sum over k of a(m, k) * b[k][n]     for ROWS rows m and VECTORS vectors n
// Layer: cpu/gemm, leaf kernel.

// Products per short sum. A tile sums SHORT_SUM products, adds these sums to a longer one, and with
// `add` adds the longer one to c. The rounding error of a sum grows as the root of its length. With
// 32 registers both sums stay in registers, and the extra additions cost no time. With 16 registers
// the longer sum is in L1.
constexpr int64_t SHORT_SUM = 16;

//           n ->  VECTORS * LANES      b: a packed panel, read once, in order
//         +---------+---------+        a: ROWS broadcasts at constant distances, so that addresses
//       m | sum[m][v]         |           take no instructions
//         +---------+---------+        per k: VECTORS loads + ROWS broadcasts feed
//                                      ROWS * VECTORS multiply-adds
// A tile reads its rows of a for the first time, from L2 or L3, in pieces too short for the CPU's
// prefetcher. Each step therefore prefetches a line of the rows that come next. It also prefetches
// the tile's share of the next panel of b into L2, so that the next product does not wait for L3.

template <class T, int64_t PART, bool TRANSPOSED, int VECTORS, int ROWS>
void panel_product(const PanelProduct<T>& p) {
  static_assert(ROWS * VECTORS + VECTORS + 1 <= REGISTERS,
                "short sums, one row of b and one broadcast stay in registers");
  constexpr int64_t A_ROW = TRANSPOSED ? 1 : PART, A_STEP = TRANSPOSED ? PART : 1;
  // Transposed, the ROWS columns begin in a line that is in L1 and end in the line to prefetch.
  constexpr int64_t NEXT = TRANSPOSED ? ROWS - 1 : 0;
  constexpr int64_t NEXT_STEP = TRANSPOSED ? PART : ROWS;
  Vec<T> sum[ROWS][VECTORS];
#pragma GCC unroll 16
  for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) sum[m][v] = Vec<T>{};
  const T* __restrict__ b = p.b;
  const T* __restrict__ a = p.a;
  const T* next = p.next_a + NEXT;
  const T* next_b = p.next_b;
  for (int64_t left = p.K; left > 0; left -= SHORT_SUM) {
    Vec<T> acc[ROWS][VECTORS];
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) acc[m][v] = Vec<T>{};
    const int64_t steps = left < SHORT_SUM ? left : SHORT_SUM;
    for (int64_t k = 0; k < steps; ++k, b += p.b_row, a += A_STEP, next += NEXT_STEP) {
      __builtin_prefetch(next);
      if constexpr (!TRANSPOSED) __builtin_prefetch(next_b, 0, 2);
      next_b += p.next_b_step;
      Vec<T> row[VECTORS];
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) {
        row[v] = load(b + v * LANES<T>);
        keep_in_register(row[v]);
      }
#pragma GCC unroll 16
      for (int m = 0; m < ROWS; ++m) {
        const Vec<T> weight = broadcast(a[m * A_ROW]);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) acc[m][v] += weight * row[v];
      }
    }
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[m][v] += acc[m][v];
  }
  T* __restrict__ c = p.c;
  const int64_t c_row = p.c_row;
  if (p.add) {
#pragma GCC unroll 16
    for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sum[m][v] += load(c + m * c_row + v * LANES<T>);
  }
#pragma GCC unroll 16
  for (int m = 0; m < ROWS; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) store(c + m * c_row + v * LANES<T>, sum[m][v]);
}
