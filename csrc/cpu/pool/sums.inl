// Sums over whole windows, for adaptive and global averages of NCHW planes.

// The sum of x[r * row + c] over r < rows, c < columns, lane by lane.
template <class T>
FASTCONV_LEAF Vec<T> lane_sums(int64_t rows, int64_t columns, const T* x, int64_t row) {
  constexpr int L = LANES<T>;
  Vec<T> even{}, odd{};  // two, because an addition takes four cycles
  for (int64_t r = 0; r < rows; ++r, x += row) {
    int64_t c = 0;
    for (; c + 2 * L <= columns; c += 2 * L) {
      even += load(x + c);
      odd += load(x + c + L);
    }
    if (c + L <= columns) {
      even += load(x + c);
      c += L;
    }
    if (c < columns) odd += load_partial(x + c, static_cast<int>(columns - c));
  }
  return even + odd;
}

// As many planes as lanes together: their lane sums are added by rounds of interleaving, after which
// lane i has the sum of plane i.
template <class T>
void plane_means(int64_t planes, int64_t rows, int64_t columns, const T* x, int64_t plane,
                 int64_t row, Lane<T> divisor, T* y, int64_t y_step) {
  constexpr int L = LANES<T>;
  if (columns == row) {
    columns *= rows;
    rows = 1;
  }
  for (int64_t i = 0; i < planes; i += L) {
    const int count = lanes_left(planes - i, L);
    Vec<T> sums[L];
    for (int p = 0; p < L; ++p)
      sums[p] = p < count ? lane_sums(rows, columns, x + (i + p) * plane, row) : Vec<T>{};
#pragma GCC unroll 4
    for (int half = L / 2; half > 0; half /= 2)
#pragma GCC unroll 8
      for (int p = 0; p < half; ++p)
        sums[p] = zip<T, 0>(sums[p], sums[p + half]) + zip<T, 1>(sums[p], sums[p + half]);
    const Vec<T> means = sums[0] / broadcast(divisor);
    if (y_step == 1) {
      store_first(y + i, means, count);
    } else {
      for (int p = 0; p < count; ++p) y[(i + p) * y_step] = means[p];
    }
  }
}
