// Operations that move lanes of Vec<T> (vec.inl): shuffles, and vectors loaded from pieces of
// memory. Lane i of a shuffle is lane I_i of a followed by b. Masks are template arguments, because
// the compiler lowers shuffles before it folds loops. Layer: cpu/simd.

template <class T, int... I>
FASTCONV_LEAF Vec<T> shuffle(Vec<T> a, Vec<T> b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, I...);
#else
  return __builtin_shuffle(a, b, Vec<LaneInteger<T>>{I...});
#endif
}

// {a0, b0, a1, b1, ...} of the lower (HIGH = 0) or upper (HIGH = 1) halves.
template <class T, int HIGH, int... I>
FASTCONV_LEAF Vec<T> zip(Vec<T> a, Vec<T> b, Lanes<I...>) {
  return shuffle<T, (HIGH * LANES<T> / 2 + I / 2 + I % 2 * LANES<T>)...>(a, b);
}
template <class T, int HIGH>
FASTCONV_LEAF Vec<T> zip(Vec<T> a, Vec<T> b) {
  return zip<T, HIGH>(a, b, AllLanes<T>{});
}

// {a0, a2, ..., b0, b2, ...}
template <class T, int... I>
FASTCONV_LEAF Vec<T> even_lanes(Vec<T> a, Vec<T> b, Lanes<I...>) {
  return shuffle<T, (2 * I)...>(a, b);
}
template <class T>
FASTCONV_LEAF Vec<T> even_lanes(Vec<T> a, Vec<T> b) {
  return even_lanes<T>(a, b, AllLanes<T>{});
}

// {a1, a3, ..., b1, b3, ...}
template <class T, int... I>
FASTCONV_LEAF Vec<T> odd_lanes(Vec<T> a, Vec<T> b, Lanes<I...>) {
  return shuffle<T, (2 * I + 1)...>(a, b);
}
template <class T>
FASTCONV_LEAF Vec<T> odd_lanes(Vec<T> a, Vec<T> b) {
  return odd_lanes<T>(a, b, AllLanes<T>{});
}

// The even and the odd ones of 2 * LANES elements. With AVX2 pieces of 4 are loaded into the places from
// which one shuffle within 16 bytes makes each. 16-bit types are divided before they are widened.
template <class T, int ODD, int... I>
FASTCONV_LEAF Vec<T> two_of_each_quad(Vec<T> low, Vec<T> high, Lanes<I...>) {
  return shuffle<T, (I / 4 * 4 + I % 2 * 2 + ODD + I % 4 / 2 * LANES<T>)...>(low, high);
}
template <class T, int PIECE, class At>
FASTCONV_LEAF Vec<T> load_pieces(const At& at);
template <class T>
FASTCONV_LEAF void load_even_and_odd(const T* from, Vec<T>& even, Vec<T>& odd) {
  if constexpr (IS_HALF<T>) {
    load_even_and_odd_halves(from, even, odd);
  } else if constexpr (VECTOR_BYTES == 32 && LANES<T> == 8) {
    const Vec<T> low = load_pieces<T, 4>([from](int i) { return from + 8 * i; });
    const Vec<T> high = load_pieces<T, 4>([from](int i) { return from + 8 * i + 4; });
    even = two_of_each_quad<T, 0>(low, high, AllLanes<T>{});
    odd = two_of_each_quad<T, 1>(low, high, AllLanes<T>{});
  } else {
    const Vec<T> a = load(from), b = load(from + LANES<T>);
    even = even_lanes<T>(a, b);
    odd = odd_lanes<T>(a, b);
  }
}
// {from[0], from[2], ...}; reads 2 * LANES elements.
template <class T>
FASTCONV_LEAF Vec<T> load_even(const T* from) {
  Vec<T> even, odd;
  load_even_and_odd(from, even, odd);
  return even;
}

// Lanes FIRST and FIRST + 1 of every group of four:
// {a[FIRST], a[FIRST + 1], a[FIRST + 4], a[FIRST + 5], ..., b[FIRST], ...}
template <class T, int FIRST, int... I>
FASTCONV_LEAF Vec<T> two_of_four(Vec<T> a, Vec<T> b, Lanes<I...>) {
  return shuffle<T, (I / 2 * 4 + I % 2 + FIRST)...>(a, b);
}
template <class T, int FIRST>
FASTCONV_LEAF Vec<T> two_of_four(Vec<T> a, Vec<T> b) {
  return two_of_four<T, FIRST>(a, b, AllLanes<T>{});
}

// Of a followed by b, cut into blocks of BLOCK lanes: the blocks with even (WHICH = 0) or odd numbers.
template <class T, int BLOCK, int WHICH, int... I>
FASTCONV_LEAF Vec<T> every_second_block(Vec<T> a, Vec<T> b, Lanes<I...>) {
  return shuffle<T, ((I / BLOCK * 2 + WHICH) * BLOCK + I % BLOCK)...>(a, b);
}
template <class T, int BLOCK, int WHICH>
FASTCONV_LEAF Vec<T> every_second_block(Vec<T> a, Vec<T> b) {
  return every_second_block<T, BLOCK, WHICH>(a, b, AllLanes<T>{});
}

// The inverse: blocks of a and of b in turns, the lower (HIGH = 0) or upper (HIGH = 1) half of them.
template <class T, int BLOCK, int HIGH, int... I>
FASTCONV_LEAF Vec<T> zip_blocks(Vec<T> a, Vec<T> b, Lanes<I...>) {
  return shuffle<T, (HIGH * LANES<T> / 2 + I / BLOCK / 2 * BLOCK + I % BLOCK +
                     I / BLOCK % 2 * LANES<T>)...>(a, b);
}
template <class T, int BLOCK, int HIGH>
FASTCONV_LEAF Vec<T> zip_blocks(Vec<T> a, Vec<T> b) {
  return zip_blocks<T, BLOCK, HIGH>(a, b, AllLanes<T>{});
}

// Lanes are groups of G neighbours: every lane becomes lane C of its own group.
template <class T, int G, int C, int... I>
FASTCONV_LEAF Vec<T> lane_of_group(Vec<T> v, Lanes<I...>) {
  return shuffle<T, (I / G * G + C)...>(v, v);
}
template <class T, int G, int C>
FASTCONV_LEAF Vec<T> lane_of_group(Vec<T> v) {
  return lane_of_group<T, G, C>(v, AllLanes<T>{});
}

// zip within every group of four neighbouring lanes.
template <class T, int HIGH, int... I>
FASTCONV_LEAF Vec<T> zip_quads(Vec<T> a, Vec<T> b, Lanes<I...>) {
  return shuffle<T, (I / 4 * 4 + HIGH * 2 + I % 4 / 2 + I % 2 * LANES<T>)...>(a, b);
}
template <class T, int HIGH>
FASTCONV_LEAF Vec<T> zip_quads(Vec<T> a, Vec<T> b) {
  return zip_quads<T, HIGH>(a, b, AllLanes<T>{});
}

// Moves lane 4 t + q of a[s] to lane 4 t + s of a[q]. It is its own inverse.
template <class T>
FASTCONV_LEAF void transpose_quads(Vec<T>* a) {
  const Vec<T> even_low = zip_quads<T, 0>(a[0], a[2]), even_high = zip_quads<T, 1>(a[0], a[2]);
  const Vec<T> odd_low = zip_quads<T, 0>(a[1], a[3]), odd_high = zip_quads<T, 1>(a[1], a[3]);
  a[0] = zip_quads<T, 0>(even_low, odd_low);
  a[1] = zip_quads<T, 1>(even_low, odd_low);
  a[2] = zip_quads<T, 0>(even_high, odd_high);
  a[3] = zip_quads<T, 1>(even_high, odd_high);
}

// Loads a vector from pieces of PIECE neighbours. Piece i lies at at(i).
template <class T, int PIECE, class At>
FASTCONV_LEAF Vec<T> load_pieces(const At& at) {
  if constexpr (IS_HALF<T>) {
    static_assert(PIECE == 4, "a piece has 8 bytes, so that a vector is put together in registers");
    HalfPieces pieces;
#pragma GCC unroll 4
    for (int i = 0; i < LANES<T> / PIECE; ++i) {
      uint64_t piece;
      __builtin_memcpy(&piece, at(i), sizeof piece);
      pieces[i] = piece;
    }
    return widen<T>((HalfBits)pieces);
  }
#if VECTOR_BYTES == REGISTER_BYTES && VECTOR_BYTES > 16
  constexpr int BYTES = PIECE * static_cast<int>(sizeof(T));
  [[maybe_unused]] const auto quarter = [&](int i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at(i)));
  };
#if VECTOR_BYTES == 64
  if constexpr (BYTES == 16) {
    __m512i v = _mm512_castsi128_si512(quarter(0));
    v = _mm512_inserti32x4(v, quarter(1), 1);
    v = _mm512_inserti32x4(v, quarter(2), 2);
    return (Vec<T>)_mm512_inserti32x4(v, quarter(3), 3);
  } else if constexpr (BYTES == 32) {
    const auto half = [&](int i) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at(i)));
    };
    return (Vec<T>)_mm512_inserti64x4(_mm512_castsi256_si512(half(0)), half(1), 1);
  }
#else
  if constexpr (BYTES == 16)
    return (Vec<T>)_mm256_inserti128_si256(_mm256_castsi128_si256(quarter(0)), quarter(1), 1);
#endif
#endif
  if constexpr (PIECE == LANES<T>) return load(at(0));
  Vec<T> v;
#pragma GCC unroll 16
  for (int i = 0; i < LANES<T> / PIECE; ++i)
    __builtin_memcpy(reinterpret_cast<T*>(&v) + i * PIECE, at(i), PIECE * sizeof(T));
  return v;
}

// Stores a vector in pieces of PIECE neighbours. Piece i goes to at(i).
template <class T, int PIECE, class At>
FASTCONV_LEAF void store_pieces(const At& at, Vec<T> v) {
#if VECTOR_BYTES == 64 && REGISTER_BYTES == 64
  constexpr int BYTES = PIECE * static_cast<int>(sizeof(T));
  const __m512i bits = (__m512i)v;
  if constexpr (BYTES == 16) {
    const auto store_quarter = [&](int i, __m128i quarter) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(at(i)), quarter);
    };
    store_quarter(0, _mm512_castsi512_si128(bits));
    store_quarter(1, _mm512_extracti32x4_epi32(bits, 1));
    store_quarter(2, _mm512_extracti32x4_epi32(bits, 2));
    return store_quarter(3, _mm512_extracti32x4_epi32(bits, 3));
  } else if constexpr (BYTES == 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at(0)), _mm512_castsi512_si256(bits));
    return _mm256_storeu_si256(reinterpret_cast<__m256i*>(at(1)),
                               _mm512_extracti64x4_epi64(bits, 1));
  }
#endif
  if constexpr (PIECE == LANES<T>) return store(at(0), v);
#pragma GCC unroll 16
  for (int i = 0; i < LANES<T> / PIECE; ++i)
    __builtin_memcpy(at(i), reinterpret_cast<T*>(&v) + i * PIECE, PIECE * sizeof(T));
}
