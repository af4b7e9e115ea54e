// What a register tile of pairs adds in a step, and pairing in place (table.h). Layer: cpu/gemm, leaf
// kernels.

struct PairTerm {
  static FASTCONV_LEAF Vec<float> read(const float* a) { return broadcast_pair(a); }
  static FASTCONV_LEAF Vec<float> add(Vec<float> a, Vec<float> b, Vec<float> sum) {
    return add_products_of_pairs(a, b, sum);
  }
};

// A row of pairs is never after the rows that it is made of, which are read first.
void pair_rows(int64_t K, int64_t columns, int64_t row, float* b) {
  constexpr int L = LANES<float>;
  for (int64_t k = 0; k < K; k += 2) {
    const float* lower = b + k * row;
    float* to = b + k / 2 * row;
    const bool whole = k + 1 < K;
    int64_t n = 0;
    for (; n + L <= columns; n += L)
      store(to + n, pair_of(load(lower + n), whole ? load(lower + row + n) : Vec<float>{}));
    if (n == columns) continue;
    const int rest = static_cast<int>(columns - n);
    const Vec<float> upper = whole ? load_partial(lower + row + n, rest) : Vec<float>{};
    store_partial(to + n, pair_of(load_partial(lower + n, rest), upper), rest);
  }
}

void pair_columns(int64_t rows, int64_t K, int64_t row, float* a) {
  constexpr int L = LANES<float>;
  for (; rows > 0; --rows, a += row) {
    auto* to = reinterpret_cast<char*>(a);
    int64_t k = 0;
    for (; k + L <= K; k += L) {
      const HalfBits bits = narrow_exactly<BFloat16>(load(a + k));
      __builtin_memcpy(to + 2 * k, &bits, sizeof bits);
    }
    if (k == K) continue;
    const int rest = static_cast<int>(K - k);  // the other lanes are 0, one of which may follow
    const HalfBits bits = narrow_exactly<BFloat16>(load_partial(a + k, rest));
    __builtin_memcpy(to + 2 * k, &bits, 4 * ceil_div(rest, 2));
  }
}
