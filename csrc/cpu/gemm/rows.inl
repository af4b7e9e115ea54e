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

// See Interleaving. A zip of vectors puts two ways into turns, and a zip of two zips four.
template <class T>
void interleave(const Interleaving<T>& p) {
  const auto in = [&](int64_t way, int64_t r, int64_t c) {
    return p.in[way] + r * p.in_row[way] + c;
  };
  const int64_t ways = p.ways;
  for (int64_t r = 0; r < p.rows; ++r) {
    T* out = p.out + r * p.out_row;
    int64_t c = 0;
    for (; c + LANES<T> <= p.columns; c += LANES<T>, out += ways * LANES<T>) {
      const Vec<T> a = load(in(0, r, c)), b = load(in(1, r, c));
      __builtin_prefetch(out + p.out_row, 1);
      if (ways == 2) {
        store(out, zip<T, 0>(a, b));
        store(out + LANES<T>, zip<T, 1>(a, b));
        continue;
      }
      const Vec<T> third = load(in(2, r, c)), fourth = load(in(3, r, c));
      const Vec<T> even_low = zip<T, 0>(a, third), odd_low = zip<T, 0>(b, fourth);
      const Vec<T> even_high = zip<T, 1>(a, third), odd_high = zip<T, 1>(b, fourth);
      store(out, zip<T, 0>(even_low, odd_low));
      store(out + LANES<T>, zip<T, 1>(even_low, odd_low));
      store(out + 2 * LANES<T>, zip<T, 0>(even_high, odd_high));
      store(out + 3 * LANES<T>, zip<T, 1>(even_high, odd_high));
    }
    for (; c < p.columns; ++c, out += ways)
      for (int64_t w = 0; w < ways; ++w) out[w] = *in(w, r, c);
  }
}
