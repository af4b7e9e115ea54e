// Sums over whole windows, for adaptive and global averages of NCHW planes.

// Lanes sum apart and are added at the end, always in the same order.
template <class T>
T window_sum(int64_t rows, int64_t columns, const T* x, int64_t row) {
  if (columns == row) {
    columns *= rows;
    rows = 1;
  }
  constexpr int L = LANES<T>;
  if (rows * columns == 1) return x[0];
  Vec<T> even{}, odd{};  // two, because an addition takes four cycles
  for (int64_t r = 0; r < rows; ++r, x += row) {
    int64_t c = 0;
    for (; c + 2 * L <= columns; c += 2 * L) {
      even += load(x + c);
      odd += load(x + c + L);
    }
    for (; c < columns; c += L)
      even += load_partial(x + c, static_cast<int>(columns - c < L ? columns - c : L));
  }
  even += odd;
  T sum = even[0];
#pragma GCC unroll 16
  for (int lane = 1; lane < L; ++lane) sum += even[lane];
  return sum;
}
