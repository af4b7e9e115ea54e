// Copies rows into packed panels, and finished rows out of results. Layer: cpu/gemm, leaf kernels.

// out[c][piece] = x[c][piece], widened, for C channels and the pieces of one panel. Pieces lie in order and are
// written in whole vectors where the room of the panel allows it: the next piece overwrites the lanes
// after the end of a piece.
template <class T>
void pack_pieces(const PiecePack<T>& p) {
  for (int64_t c = 0; c < p.C; ++c) {
    const T* __restrict__ x = p.x + c * p.x_channel;
    SumOf<T>* __restrict__ out = p.out + c * p.out_channel;
    for (int64_t i = 0; i < p.pieces; ++i) {
      const Piece& piece = p.piece[i];
      const int64_t first = piece.at, count = piece.count;
      if (piece.step == 0) {
        for (int64_t j = 0; j < count; ++j) out[first + j] = 0;
        continue;
      }
      const T* from = x + piece.from;
      int64_t j = 0;
      if (piece.step == 1) {
        for (; j + LANES<T> <= count; j += LANES<T>) store(out + first + j, load(from + j));
        const int rest = static_cast<int>(count - j);
        if (rest > 0 && first + j + LANES<T> <= p.room)
          store(out + first + j, load_partial(from + j, rest));
        else
          for (; j < count; ++j) out[first + j] = from[j];
      } else if (piece.step == 2) {
        for (; j + LANES<T> < count; j += LANES<T>) store(out + first + j, load_even(from + 2 * j));
        for (; j < count; ++j) out[first + j] = from[2 * j];
      } else {
        for (; j < count; ++j) out[first + j] = from[j * piece.step];
      }
    }
  }
}

// out[r][c] = in[r][c], rounded to T. The last vector of a row overlaps the one before it, because masked stores
// are slow on some CPUs.
template <class T>
void write_rows(int64_t rows, int64_t columns, const SumOf<T>* __restrict__ in, int64_t in_row,
                T* __restrict__ out, int64_t out_row) {
  for (; rows > 0; --rows, in += in_row, out += out_row) {
    int64_t c = 0;
    for (; c + LANES<T> <= columns; c += LANES<T>) {
      __builtin_prefetch(out + c + out_row, 1);
      store(out + c, load(in + c));
    }
    if (c == columns) continue;
    if (columns >= LANES<T>)
      store(out + columns - LANES<T>, load(in + columns - LANES<T>));
    else
      for (; c < columns; ++c) out[c] = in[c];
  }
}

// out[r][2 * c] = even[r][c], out[r][2 * c + 1] = odd[r][c]
template <class T>
void write_pairs(int64_t rows, int64_t columns, const SumOf<T>* even, const SumOf<T>* odd,
                 int64_t in_row, T* out, int64_t out_row) {
  for (; rows > 0; --rows, even += in_row, odd += in_row, out += out_row) {
    int64_t c = 0;
    for (; c + LANES<T> <= columns; c += LANES<T>) {
      const Vec<T> a = load(even + c), b = load(odd + c);
      __builtin_prefetch(out + 2 * c + out_row, 1);
      store(out + 2 * c, zip<T, 0>(a, b));
      store(out + 2 * c + LANES<T>, zip<T, 1>(a, b));
    }
    for (; c < columns; ++c) out[2 * c] = even[c], out[2 * c + 1] = odd[c];
  }
}

// out[c * ways + w] = in[w][c], for 2 or 4 ways. One zip of vectors is a way apart for pairs, two for fours.
template <class T>
void interleave(int64_t ways, int64_t columns, const SumOf<T>* const* in, T* out) {
  int64_t c = 0;
  for (; c + LANES<T> <= columns; c += LANES<T>) {
    T* to = out + ways * c;
    const Vec<T> a = load(in[0] + c), b = load(in[1] + c);
    if (ways == 2) {
      store(to, zip<T, 0>(a, b));
      store(to + LANES<T>, zip<T, 1>(a, b));
      continue;
    }
    const Vec<T> third = load(in[2] + c), fourth = load(in[3] + c);
    const Vec<T> even_low = zip<T, 0>(a, third), odd_low = zip<T, 0>(b, fourth);
    const Vec<T> even_high = zip<T, 1>(a, third), odd_high = zip<T, 1>(b, fourth);
    store(to, zip<T, 0>(even_low, odd_low));
    store(to + LANES<T>, zip<T, 1>(even_low, odd_low));
    store(to + 2 * LANES<T>, zip<T, 0>(even_high, odd_high));
    store(to + 3 * LANES<T>, zip<T, 1>(even_high, odd_high));
  }
  for (; c < columns; ++c)
    for (int64_t w = 0; w < ways; ++w) out[c * ways + w] = in[w][c];
}
