// Moving rows about: transpose, take every second column, add.

// A LANES x LANES block is transposed by log2(LANES) rounds of perfect shuffles: a round
// interleaves register i with register i + LANES / 2, which rotates the bits of (row, lane) by one
// place; after log2(LANES) rounds they have traded places. Ragged blocks load zeros for the missing
// rows and store the lanes that exist.
template <class T>
FASTCONV_LEAF void transpose_block(int rows, int columns, const T* in, int64_t in_row, T* out,
                                   int64_t out_row) {
  constexpr int L = LANES<T>;
  Vec<T> a[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) a[i] = i < rows ? load_partial(in + i * in_row, columns) : Vec<T>{};
#pragma GCC unroll 4
  for (int round = 1; round < L; round *= 2) {
    Vec<T> b[L];
#pragma GCC unroll 16
    for (int i = 0; i < L / 2; ++i) {
      b[2 * i] = zip<T, 0>(a[i], a[i + L / 2]);
      b[2 * i + 1] = zip<T, 1>(a[i], a[i + L / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) a[i] = b[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i)
    if (i < columns) store_partial(out + i * out_row, a[i], rows);
}

template <class T>
void transpose(int64_t rows, int64_t columns, const T* in, int64_t in_row, T* out,
               int64_t out_row) {
  constexpr int L = LANES<T>;
  for (int64_t r = 0; r < rows; r += L)
    for (int64_t c = 0; c < columns; c += L)
      transpose_block<T>(static_cast<int>(rows - r < L ? rows - r : L),
                         static_cast<int>(columns - c < L ? columns - c : L), in + r * in_row + c,
                         in_row, out + c * out_row + r, out_row);
}

template <class T>
void every_second(int64_t count, const T* __restrict__ in, T* __restrict__ out) {
  int64_t i = 0;
  for (; i + LANES<T> < count; i += LANES<T>)
    store(out + i, even_lanes<T>(load(in + 2 * i), load(in + 2 * i + LANES<T>)));
  for (; i < count; ++i) out[i] = in[2 * i];
}

template <class T>
void add(int64_t count, const T* __restrict__ in, T* __restrict__ out) {
  int64_t i = 0;
  for (; i + LANES<T> <= count; i += LANES<T>) store(out + i, load(out + i) + load(in + i));
  for (; i < count; ++i) out[i] += in[i];
}

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
