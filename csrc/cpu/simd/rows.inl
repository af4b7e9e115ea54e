// Moving rows about: copy, transpose, take every second column, add; telling whether they changed.

// `ahead` elements behind what is read (or written, WRITE), memory is fetched.
template <class T, bool WRITE>
void copy_rows(int64_t rows, int64_t columns, const T* __restrict__ in, int64_t in_row,
               T* __restrict__ out, int64_t out_row, int64_t ahead) {
  for (; rows > 0; --rows, in += in_row, out += out_row) {
    int64_t c = 0;
    for (; c + LANES<T> <= columns; c += LANES<T>) {
      __builtin_prefetch((WRITE ? out : in) + c + ahead, WRITE);
      store(out + c, load(in + c));
    }
    if (c == columns) continue;
    __builtin_prefetch((WRITE ? out : in) + c + ahead, WRITE);
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

// LANES rows, whose pieces of 4 columns are loaded into the places of one vector, so that half of the
// rounds of shuffles are left. The last 4 columns may overlap those before. columns >= 4.
template <class T>
FASTCONV_LEAF void transpose_rows(int64_t columns, const T* in, int64_t in_row, T* out,
                                  int64_t out_row) {
  for (int64_t c = 0; c < columns; c += 4) {
    if (c + 4 > columns) c = columns - 4;
    Vec<T> a[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s)
      a[s] = load_pieces<T, 4>([&](int i) { return in + c + (4 * i + s) * in_row; });
    transpose_quads<T>(a);
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) store(out + (c + q) * out_row, a[q]);
  }
}

// What is left: a LANES x LANES block is transposed by log2(LANES) rounds of perfect shuffles: a round
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
  if constexpr (L >= 4)
    if (rows >= L && columns >= 4) {
      for (int64_t r = 0; r < rows; r += L) {
        if (r + L > rows) r = rows - L;  // overlapping those before
        transpose_rows<T>(columns, in + r * in_row, in_row, out + r, out_row);
      }
      return;
    }
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

// Every lane of eight vectors is mixed with each of its words in turn, then the 64-bit result with
// each lane: h = (h ^ word) * odd, h ^= h >> half. Each step is one to one in h and in the word, so
// a change of one word always shows. Without the shift the highest bit would go up alone, and two
// changed signs would cancel.
uint64_t checksum(int64_t bytes, const char* data, uint64_t seed) {
  constexpr int VECTORS = 8, BLOCK = VECTORS * VECTOR_BYTES;  // covers a multiplication's latency
  constexpr uint32_t ODD = 0x9E3779B1;
  constexpr uint64_t ODD_64 = 0x9E3779B97F4A7C15;
  Vec<uint32_t> h[VECTORS];
#pragma GCC unroll 8
  for (int v = 0; v < VECTORS; ++v) h[v] = Vec<uint32_t>{} + ODD;
  char rest[BLOCK] = {};  // zeros behind the last bytes
  for (; bytes > 0; bytes -= BLOCK, data += BLOCK) {
    if (bytes < BLOCK) __builtin_memcpy(rest, data, bytes);
    const char* block = bytes < BLOCK ? rest : data;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      Vec<uint32_t> words;
      __builtin_memcpy(&words, block + v * VECTOR_BYTES, VECTOR_BYTES);
      h[v] = (h[v] ^ words) * ODD;
      h[v] ^= h[v] >> 15;
    }
  }
  uint64_t sum = seed;
  for (int v = 0; v < VECTORS; ++v)
    for (int lane = 0; lane < LANES<uint32_t>; ++lane) {
      sum = (sum ^ h[v][lane]) * ODD_64;
      sum ^= sum >> 32;
    }
  return sum;
}
