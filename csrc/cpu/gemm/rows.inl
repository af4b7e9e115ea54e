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

// A zip of vectors puts two ways into turns, and a zip of two zips four.
template <class T>
FASTCONV_LEAF void store_turns(T* out, Vec<T> a, Vec<T> b) {
  store(out, zip<T, 0>(a, b));
  store(out + LANES<T>, zip<T, 1>(a, b));
}

// The last vectors of a row overlap those before them.
template <class T, int WAYS>
void interleave(const Interleaving<T>& p) {
  static_assert(WAYS == 2 || WAYS == 4, "by one or two zips");
  for (int64_t r = 0; r < p.rows; ++r) {
    T* __restrict__ out = p.out + r * p.out_row;
    const SumOf<T>* in[WAYS];
#pragma GCC unroll 4
    for (int w = 0; w < WAYS; ++w) in[w] = p.in[w] + r * p.in_row[w];
    if (p.columns < LANES<T>) {
      for (int64_t c = 0; c < p.columns; ++c)
        for (int w = 0; w < WAYS; ++w) out[c * WAYS + w] = in[w][c];
      continue;
    }
    for (int64_t c = 0; c < p.columns; c += LANES<T>) {
      if (c + LANES<T> > p.columns) c = p.columns - LANES<T>;
      T* to = out + c * WAYS;
      const Vec<T> a = load(in[0] + c), b = load(in[1] + c);
      __builtin_prefetch(to + p.out_row, 1);
      if constexpr (WAYS == 2) {
        store_turns(to, a, b);
      } else {
        const Vec<T> third = load(in[2] + c), fourth = load(in[3] + c);
        store_turns(to, zip<T, 0>(a, third), zip<T, 0>(b, fourth));
        store_turns(to + 2 * LANES<T>, zip<T, 1>(a, third), zip<T, 1>(b, fourth));
      }
    }
  }
}
