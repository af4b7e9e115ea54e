// Codes of max pooling (pool/table.h): bytes or int32 in memory, in a vector as wide as the values
// that they stand beside. Layer: cpu/simd.

template <class T, class Code>
FASTCONV_LEAF void store_codes(Code* to, Vec<LaneInteger<T>> v, int count) {
  if constexpr (sizeof(Code) == sizeof(Lane<T>)) return store_first(to, v, count);
#if REGISTER_BYTES == 64
  if constexpr (sizeof(Code) == 1 && sizeof(Lane<T>) == 4)
    return _mm512_mask_cvtepi32_storeu_epi8(to, static_cast<__mmask16>((1u << count) - 1),
                                            (__m512i)v);
  if constexpr (sizeof(Code) == 1 && sizeof(Lane<T>) == 8)
    return _mm512_mask_cvtepi64_storeu_epi8(to, static_cast<__mmask8>((1u << count) - 1),
                                            (__m512i)v);
#elif VECTOR_BYTES == 32
  if constexpr (sizeof(Code) == 1) {
    const __m128i low = _mm256_castsi256_si128((__m256i)v);
    const __m128i high = _mm256_extracti128_si256((__m256i)v, 1);
    __m128i words;
    if constexpr (sizeof(Lane<T>) == 4)
      words = _mm_packus_epi32(low, high);
    else
      words = _mm_packus_epi32(
          _mm_unpacklo_epi64(_mm_shuffle_epi32(low, 8), _mm_shuffle_epi32(high, 8)),
          _mm_setzero_si128());
    const int64_t bytes = _mm_cvtsi128_si64(_mm_packus_epi16(words, words));
    if (count == LANES<T>)
      __builtin_memcpy(to, &bytes, LANES<T>);
    else
      __builtin_memcpy(to, &bytes, count);
    return;
  }
#endif
  for (int i = 0; i < LANES<T>; ++i)
    if (i < count) to[i] = static_cast<Code>(v[i]);
}

// Loads the lanes of `range`; the others are 0.
template <class T, class Code>
FASTCONV_LEAF Vec<LaneInteger<T>> load_codes(const Code* from, LaneRange<T> range) {
#if REGISTER_BYTES == 64
  if constexpr (sizeof(Code) == 1) {
    const __m128i bytes = _mm_maskz_loadu_epi8(static_cast<__mmask16>(range.bits), from);
    if constexpr (sizeof(Lane<T>) == 4) return (Vec<LaneInteger<T>>)_mm512_cvtepu8_epi32(bytes);
    return (Vec<LaneInteger<T>>)_mm512_cvtepu8_epi64(bytes);
  }
  Vec<LaneInteger<T>> v{};
  for (int i = 0; i < LANES<T>; ++i)
    if (range.bits >> i & 1) v[i] = from[i];
  return v;
#else
  Vec<LaneInteger<T>> v{};
  for (int i = range.first; i < range.end; ++i) v[i] = from[i];
  return v;
#endif
}

// Loads all lanes.
template <class T, class Code>
FASTCONV_LEAF Vec<LaneInteger<T>> load_codes(const Code* from) {
  if constexpr (sizeof(Code) == sizeof(Lane<T>)) return load(from);
#if VECTOR_BYTES == 32
  if constexpr (sizeof(Code) == 1) {
    int64_t bytes = 0;
    __builtin_memcpy(&bytes, from, LANES<T>);
    const __m128i packed = _mm_cvtsi64_si128(bytes);
    if constexpr (sizeof(Lane<T>) == 4) return (Vec<LaneInteger<T>>)_mm256_cvtepu8_epi32(packed);
    return (Vec<LaneInteger<T>>)_mm256_cvtepu8_epi64(packed);
  }
#endif
  return load_codes<T>(from, lane_range<T>(0, LANES<T>));
}
