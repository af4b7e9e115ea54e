// Max pooling of 2 x 2 windows that tile small NCHW maps. A vector holds a whole number of rows of
// outputs. The elements of all planes are one stream, in which rows are blocks of lanes.
//
//   four vectors of x        even and odd lanes: columns     blocks of OW lanes in turns: rows
//   t0 t1 t2 t3 b0 b1 ... -> max(t0,t1) max(t2,t3) max(b0,b1) ... -> y0 y1 ...

template <class T, int OW>
FASTCONV_LEAF Best<T> best_of_tiles(const T* x) {
  constexpr int L = LANES<T>;
  using Integer = LaneInteger<T>;
  Best<T> half[2];
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    Vec<T> even, odd;
    load_even_and_odd(x + 2 * i * L, even, odd);
    half[i] = {even, Vec<Integer>{}};
    half[i].offer(odd, broadcast(Integer(1)));
  }
  Best<T> best{every_second_block<T, OW, 0>(half[0].value, half[1].value),
               every_second_block<Integer, OW, 0>(half[0].code, half[1].code)};
  best.offer(every_second_block<T, OW, 1>(half[0].value, half[1].value),
             every_second_block<Integer, OW, 1>(half[0].code, half[1].code) + Integer(2));
  return best;
}

template <class T, int OW>
FASTCONV_LEAF void max_pool_tiles_of(int64_t outputs, const T* x, T* y, Codes codes) {
  constexpr int L = LANES<T>;
  for (int64_t i = 0; i < outputs; i += L) {
    const int count = lanes_left(outputs - i, L);
    T rest[4 * L] = {};
    const T* from = x + 4 * i;
    if (count < L) {
      __builtin_memcpy(rest, from, 4 * count * sizeof(T));
      from = rest;
    }
    const Best<T> best = best_of_tiles<T, OW>(from);
    store_first_exactly(y + i, best.value, count);
    if (codes) store_codes<T>(codes + i, best.code, count);
  }
}

template <class T, int OW>
FASTCONV_LEAF void max_gradient_tiles_of(int64_t outputs, const T* grad_y, ConstCodes codes,
                                         T* grad_x) {
  constexpr int L = LANES<T>;
  using Integer = LaneInteger<T>;
  for (int64_t i = 0; i < outputs; i += L) {
    const int count = lanes_left(outputs - i, L);
    const Vec<T> g = load_first(grad_y + i, count);
    const auto code =
        count == L ? load_codes<T>(codes + i) : load_codes<T>(codes + i, lane_range<T>(0, count));
    Vec<T> rows[2][2];
#pragma GCC unroll 2
    for (int kh = 0; kh < 2; ++kh) {
      const Vec<T> a = code == broadcast(static_cast<Integer>(2 * kh)) ? g : Vec<T>{};
      const Vec<T> b = code == broadcast(static_cast<Integer>(2 * kh + 1)) ? g : Vec<T>{};
      rows[kh][0] = zip<T, 0>(a, b);
      rows[kh][1] = zip<T, 1>(a, b);
    }
    T rest[4 * L];
    T* to = count == L ? grad_x + 4 * i : rest;
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const Vec<T> top = rows[0][h], bottom = rows[1][h];
      constexpr bool WHOLE = 2 * OW == L;  // a row of x fills a vector
      constexpr int BLOCK = WHOLE ? 1 : 2 * OW;
      store(to + 2 * h * L, WHOLE ? top : zip_blocks<T, BLOCK, 0>(top, bottom));
      store(to + (2 * h + 1) * L, WHOLE ? bottom : zip_blocks<T, BLOCK, 1>(top, bottom));
    }
    if (count < L) __builtin_memcpy(grad_x + 4 * i, rest, 4 * count * sizeof(T));
  }
}

// `OW`: 1, 2, 4 ... below LANES.
template <class T>
void max_pool_tiles(int64_t OW, int64_t outputs, const T* x, T* y, Codes codes) {
  if (OW == 1) return max_pool_tiles_of<T, 1>(outputs, x, y, codes);
  if constexpr (LANES<T> > 2)
    if (OW == 2) return max_pool_tiles_of<T, 2>(outputs, x, y, codes);
  if constexpr (LANES<T> > 4)
    if (OW == 4) return max_pool_tiles_of<T, 4>(outputs, x, y, codes);
  if constexpr (LANES<T> > 8)
    if (OW == 8) return max_pool_tiles_of<T, 8>(outputs, x, y, codes);
}

template <class T>
void max_gradient_tiles(int64_t OW, int64_t outputs, const T* grad_y, ConstCodes codes, T* grad_x) {
  if (OW == 1) return max_gradient_tiles_of<T, 1>(outputs, grad_y, codes, grad_x);
  if constexpr (LANES<T> > 2)
    if (OW == 2) return max_gradient_tiles_of<T, 2>(outputs, grad_y, codes, grad_x);
  if constexpr (LANES<T> > 4)
    if (OW == 4) return max_gradient_tiles_of<T, 4>(outputs, grad_y, codes, grad_x);
  if constexpr (LANES<T> > 8)
    if (OW == 8) return max_gradient_tiles_of<T, 8>(outputs, grad_y, codes, grad_x);
}
