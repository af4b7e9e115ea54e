// Moving rows about: copy, transpose, take every second column, add; telling whether they changed.
// Copies and transposes go from a stored type to that of sums, which widens, or back, which rounds.

// `ahead` elements behind what is read (or written, WRITE), memory is fetched.
template <class In, class Out, bool WRITE>
void copy_rows(int64_t rows, int64_t columns, const In* __restrict__ in, int64_t in_row,
               Out* __restrict__ out, int64_t out_row, int64_t ahead) {
  using T = In;
  for (; rows > 0; --rows, in += in_row, out += out_row) {
    const auto prefetch = [&](int64_t c) {
      if constexpr (WRITE)
        __builtin_prefetch(out + c + ahead, 1);
      else
        __builtin_prefetch(in + c + ahead);
    };
    int64_t c = 0;
    for (; c + LANES<T> <= columns; c += LANES<T>) {
      prefetch(c);
      store(out + c, load(in + c));
    }
    if (c == columns) continue;
    prefetch(c);
    const int rest = static_cast<int>(columns - c);
    store_partial(out + c, load_partial(in + c, rest), rest);
  }
}

// Past the caches, but for what is less than a line at the ends of rows. (A partial store, of no lanes
// too, fetches its line.)
template <class T>
void stream_rows(int64_t rows, int64_t columns, const T* __restrict__ in, int64_t in_row,
                 T* __restrict__ out, int64_t out_row) {
  for (; rows > 0; --rows, in += in_row, out += out_row) {
    const int64_t over = static_cast<int64_t>(reinterpret_cast<uintptr_t>(out) % VECTOR_BYTES);
    const int64_t to_line = (VECTOR_BYTES - over) % VECTOR_BYTES / static_cast<int64_t>(sizeof(T));
    int64_t c = to_line < columns ? to_line : columns;
    if (c > 0) store_partial(out, load_partial(in, static_cast<int>(c)), static_cast<int>(c));
    for (; c + LANES<T> <= columns; c += LANES<T>) stream(out + c, load(in + c));
    if (c == columns) continue;
    const int rest = static_cast<int>(columns - c);
    store_partial(out + c, load_partial(in + c, rest), rest);
  }
}

// How the transposes store what they have not changed; Finisher is the other way.
struct Unchanged {
  template <class T>
  FASTCONV_LEAF void whole(T* to, Vec<T> v) const {
    store(to, v);
  }
  template <class T>
  FASTCONV_LEAF void part(T* to, Vec<T> v, int count) const {
    store_partial(to, v, count);
  }
};

// LANES rows, whose pieces of 4 columns are loaded into the places of one vector, so that half of the
// rounds of shuffles are left. The last 4 columns may overlap those before. columns >= 4.
template <class In, class Out, class Way>
FASTCONV_LEAF void transpose_rows(int64_t columns, const In* in, int64_t in_row, Out* out,
                                  int64_t out_row, const Way& way) {
  using T = In;
  for (int64_t c = 0; c < columns; c += 4) {
    if (c + 4 > columns) c = columns - 4;
    Vec<T> a[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s)
      a[s] = load_pieces<T, 4>([&](int i) { return in + c + (4 * i + s) * in_row; });
    transpose_quads<T>(a);
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) way.whole(out + (c + q) * out_row, a[q]);
  }
}

// What is left: a LANES x LANES block is transposed by log2(LANES) rounds of perfect shuffles: a round
// interleaves register i with register i + LANES / 2, which rotates the bits of (row, lane) by one
// place; after log2(LANES) rounds they have traded places. Ragged blocks load zeros for the missing
// rows and store the lanes that exist.
template <class In, class Out, class Way>
FASTCONV_LEAF void transpose_block(int rows, int columns, const In* in, int64_t in_row, Out* out,
                                   int64_t out_row, const Way& way) {
  using T = In;
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
    if (i < columns) way.part(out + i * out_row, a[i], rows);
}

template <class In, class Out, class Way>
FASTCONV_LEAF void transpose(int64_t rows, int64_t columns, const In* in, int64_t in_row, Out* out,
                             int64_t out_row, const Way& way) {
  constexpr int L = LANES<In>;
  if constexpr (L >= 4)
    if (rows >= L && columns >= 4) {
      for (int64_t r = 0; r < rows; r += L) {
        if (r + L > rows) r = rows - L;  // overlapping those before
        transpose_rows(columns, in + r * in_row, in_row, out + r, out_row, way);
      }
      return;
    }
  for (int64_t r = 0; r < rows; r += L)
    for (int64_t c = 0; c < columns; c += L)
      transpose_block(static_cast<int>(rows - r < L ? rows - r : L),
                      static_cast<int>(columns - c < L ? columns - c : L), in + r * in_row + c,
                      in_row, out + c * out_row + r, out_row, way);
}
template <class In, class Out>
void transpose(int64_t rows, int64_t columns, const In* in, int64_t in_row, Out* out,
               int64_t out_row) {
  transpose(rows, columns, in, in_row, out, out_row, Unchanged{});
}
template <class T>
void finish_transposed(const FinishedRows<T>& f) {
  transpose(f.rows, f.columns, f.in, f.in_row, f.out, f.out_row, Finisher<T>(f.finish, f.out));
}

// The last vector of a row may overlap the one before it. It is finished first, for `in` may be `out`.
template <class T>
void finish_rows(const FinishedRows<T>& f) {
  const Finisher<T> way(f.finish, f.out);
  const SumOf<T>* in = f.in;
  T* out = f.out;
  for (int64_t rows = f.rows; rows > 0; --rows, in += f.in_row, out += f.out_row) {
    if (f.columns < LANES<T>) {
      const int count = static_cast<int>(f.columns);
      way.part(out, load_partial(in, count), count);
      continue;
    }
    T* last = out + f.columns - LANES<T>;
    const Vec<T> end = way.finished(last, load(in + f.columns - LANES<T>));
    for (int64_t c = 0; c + LANES<T> <= f.columns; c += LANES<T>) {
      __builtin_prefetch(out + c + f.out_row, 1);
      way.whole(out + c, load(in + c));
    }
    store(last, end);
  }
}

template <class T>
void every_second(int64_t count, const T* __restrict__ in, T* __restrict__ out) {
  int64_t i = 0;
  for (; i + LANES<T> < count; i += LANES<T>) store(out + i, load_even(in + 2 * i));
  for (; i < count; ++i) out[i] = in[2 * i];
}

template <class T>
void add(int64_t count, const T* __restrict__ in, T* __restrict__ out) {
  int64_t i = 0;
  for (; i + LANES<T> <= count; i += LANES<T>) store(out + i, load(out + i) + load(in + i));
  for (; i < count; ++i) out[i] += in[i];
}

// The sum over pairs of neighbouring words, a and b with the key of their place added (modulo 2^32),
// of a * b + a + (b << 32), modulo 2^64: NH of UMAC (Black et al., CRYPTO 1999) but for the last two
// terms, which make each summand (a + 2^32) * (b + 1) - 2^32. A change of one word changes one factor
// by less than 2^32, and times the other factor that is no multiple of 2^64: it always shows. Missing
// bytes are zeros.
uint64_t keyed_sum(int64_t bytes, const char* data, const char* keys) {
  constexpr int VECTORS = 4, GROUP = VECTORS * VECTOR_BYTES;  // covers the latency of an addition
  constexpr int LINE = 64, AHEAD = 2048;  // w is seldom in a cache when it is large
  Vec<uint64_t> sums[VECTORS] = {};
  char rest[GROUP] = {};
  for (; bytes > 0; bytes -= GROUP, data += GROUP, keys += GROUP) {
    if (bytes < GROUP) __builtin_memcpy(rest, data, bytes);
    const char* words = bytes < GROUP ? rest : data;
#pragma GCC unroll 4
    for (int at = 0; at < GROUP; at += LINE) __builtin_prefetch(data + at + AHEAD);
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) {
      Vec<uint32_t> word, key;
      __builtin_memcpy(&word, words + v * VECTOR_BYTES, VECTOR_BYTES);
      __builtin_memcpy(&key, keys + v * VECTOR_BYTES, VECTOR_BYTES);
      const auto pairs = (Vec<uint64_t>)(word + key);
      sums[v] += multiply_halves(pairs) + pairs;
    }
  }
  const Vec<uint64_t> lanes = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  uint64_t sum = 0;
  for (int lane = 0; lane < LANES<uint64_t>; ++lane) sum += lanes[lane];
  return sum;
}
