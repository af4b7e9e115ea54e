// Vectors in which each element of memory stands twice: {m0, m0, m1, m1, ...}, from LANES / 2
// elements. Included by the families that use them. Layer: cpu/simd.

// Of the 16-bit types, as bits: they are widened afterwards.
template <class T, int... I>
FASTCONV_LEAF Vec<T> load_halves_twice(const T* from, Lanes<I...>) {
  constexpr int PIECES =
      LANES<T> > 8 ? LANES<T> / 8 : 1;  // of 4 elements, put together in registers
  HalfPieces pieces{};
  if constexpr (LANES<T> < 8) {
    uint32_t piece;
    __builtin_memcpy(&piece, from, sizeof piece);
    pieces[0] = piece;
  } else {
#pragma GCC unroll 4
    for (int i = 0; i < PIECES; ++i) {
      uint64_t piece;
      __builtin_memcpy(&piece, from + 4 * i, sizeof piece);
      pieces[i] = piece;
    }
  }
  return widen<T>(__builtin_shuffle((HalfBits)pieces, HalfBits{(I / 2)...}));
}

// Reads LANES / 2 elements.
template <class T>
FASTCONV_LEAF Vec<T> load_twice(const T* from) {
  if constexpr (IS_HALF<T>) return load_halves_twice(from, AllLanes<T>{});
#if REGISTER_BYTES == 64
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  const __m512i wide = _mm512_castsi256_si512(half);
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_permutexvar_epi32((__m512i)(ramp(int32_t(1)) >> 1), wide);
  else if constexpr (sizeof(T) == 8)
    return (Vec<T>)_mm512_permutexvar_epi64((__m512i)(ramp(int64_t(1)) >> 1), wide);
#elif VECTOR_BYTES == 32
  const __m256d both = _mm256_broadcast_pd(reinterpret_cast<const __m128d*>(from));
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_permutevar_ps((__m256)both, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
  else if constexpr (sizeof(T) == 8)
    return (Vec<T>)_mm256_permute_pd(both, 12);
#endif
  Vec<T> v{};
  __builtin_memcpy(&v, from, sizeof v / 2);
  return zip<T, 0>(v, v);
}

// Codes (codes.inl), beside values of type T.
template <class T, class Code>
FASTCONV_LEAF Vec<LaneInteger<T>> load_codes_twice(const Code* from) {
  if constexpr (sizeof(Code) == sizeof(Lane<T>)) return load_twice<LaneInteger<T>>(from);
#if REGISTER_BYTES == 64
  if constexpr (sizeof(Code) == 1) {
    int64_t bytes = 0;
    __builtin_memcpy(&bytes, from, LANES<T> / 2);
    const __m128i packed = _mm_cvtsi64_si128(bytes), twice = _mm_unpacklo_epi8(packed, packed);
    if constexpr (sizeof(Lane<T>) == 4) return (Vec<LaneInteger<T>>)_mm512_cvtepu8_epi32(twice);
    return (Vec<LaneInteger<T>>)_mm512_cvtepu8_epi64(twice);
  }
#elif VECTOR_BYTES == 32
  if constexpr (sizeof(Code) == 1) {
    int32_t bytes = 0;
    __builtin_memcpy(&bytes, from, LANES<T> / 2);
    const __m256i all = _mm256_set1_epi32(bytes);
    constexpr int64_t NONE = int64_t(0x8080808000000000);  // above a byte: 0
    if constexpr (sizeof(Lane<T>) == 4) {
      constexpr int32_t ZEROS = int32_t(0x80808000);
      return (Vec<LaneInteger<T>>)_mm256_shuffle_epi8(
          all, _mm256_setr_epi32(ZEROS, ZEROS, ZEROS | 1, ZEROS | 1, ZEROS | 2, ZEROS | 2,
                                 ZEROS | 3, ZEROS | 3));
    } else {
      constexpr int64_t ZEROS = NONE | int64_t(0x80808000);
      return (Vec<LaneInteger<T>>)_mm256_shuffle_epi8(
          all, _mm256_setr_epi64x(ZEROS, ZEROS, ZEROS | 1, ZEROS | 1));
    }
  }
#endif
  Vec<LaneInteger<T>> v{};
  for (int i = 0; i < LANES<T>; ++i) v[i] = from[i / 2];
  return v;
}
