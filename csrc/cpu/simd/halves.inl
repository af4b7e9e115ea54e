// 16-bit types in vectors of float: loads that widen, and stores that round to nearest, ties to even
// (../../core/half.h). Layer: cpu/simd.

typedef uint16_t HalfBits __attribute__((vector_size(VECTOR_BYTES / 2)));

#if defined(__x86_64__) && REGISTER_BYTES >= 32
constexpr int TO_NEAREST = 0;  // ties to even, whatever the mode of the CPU
#endif

template <class T>
FASTCONV_LEAF Vec<T> widen(HalfBits bits) {
  if constexpr (__is_same(T, BFloat16))
    return (Vec<T>)(__builtin_convertvector(bits, Vec<uint32_t>) << 16);
#if REGISTER_BYTES == 64
  return (Vec<T>)_mm512_cvtph_ps((__m256i)bits);
#elif REGISTER_BYTES == 32
  constexpr int PARTS = VECTOR_BYTES / REGISTER_BYTES;
  __m128i from[PARTS];
  __m256 to[PARTS];
  __builtin_memcpy(from, &bits, sizeof bits);
#pragma GCC unroll 2
  for (int i = 0; i < PARTS; ++i) to[i] = _mm256_cvtph_ps(from[i]);
  Vec<T> v;
  __builtin_memcpy(&v, to, sizeof v);
  return v;
#else
  Vec<T> v;
  for (int i = 0; i < LANES<T>; ++i) v[i] = widen_half(bits[i]);
  return v;
#endif
}

template <class T>
FASTCONV_LEAF HalfBits narrow(Vec<T> v) {
#if REGISTER_BYTES == 64
  if constexpr (__is_same(T, Half)) return (HalfBits)_mm512_cvtps_ph((__m512)v, TO_NEAREST);
#elif REGISTER_BYTES == 32
  constexpr int PARTS = VECTOR_BYTES / REGISTER_BYTES;
  __m256i from[PARTS];
  __m128i to[PARTS];
  if constexpr (__is_same(T, Half)) {
    __builtin_memcpy(from, &v, sizeof v);
#pragma GCC unroll 2
    for (int i = 0; i < PARTS; ++i) to[i] = _mm256_cvtps_ph((__m256)from[i], TO_NEAREST);
    HalfBits bits;
    __builtin_memcpy(&bits, to, sizeof bits);
    return bits;
  }
#else
  if constexpr (__is_same(T, Half)) {
    HalfBits bits;
    for (int i = 0; i < LANES<T>; ++i) bits[i] = round_to_half(v[i]);
    return bits;
  }
#endif
  const auto bits = (Vec<uint32_t>)v;
  const auto rounded = bits + (0x7fff + (bits >> 16 & 1));
  const auto upper = (v == v ? rounded : bits | 0x400000) >> 16;
#if REGISTER_BYTES == 32
  __builtin_memcpy(from, &upper, sizeof upper);
#pragma GCC unroll 2
  for (int i = 0; i < PARTS; ++i)
    to[i] = _mm_packus_epi32(_mm256_castsi256_si128(from[i]), _mm256_extracti128_si256(from[i], 1));
  HalfBits packed;
  __builtin_memcpy(&packed, to, sizeof packed);
  return packed;
#else
  return __builtin_convertvector(upper, HalfBits);
#endif
}

template <class T>
FASTCONV_LEAF Vec<T> load_halves(const T* from) {
  HalfBits bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return widen<T>(bits);
}
template <class T>
FASTCONV_LEAF void store_halves(T* to, Vec<T> v) {
  const HalfBits bits = narrow<T>(v);
  __builtin_memcpy(to, &bits, sizeof bits);
}

// Of four elements as 8 bytes the first `count`, 0 to 4. No other memory is touched.
FASTCONV_LEAF uint64_t first_of_four(const void* from, int count) {
  uint64_t four = 0;
  uint32_t two;
  uint16_t one;
  const char* at = static_cast<const char*>(from);
  if (count >= 4) {
    __builtin_memcpy(&four, at, 8);
    return four;
  }
  if (count >= 2) {
    __builtin_memcpy(&two, at, 4);
    four = two;
  }
  if (count & 1) {
    __builtin_memcpy(&one, at + (count & 2) * 2, 2);
    four |= static_cast<uint64_t>(one) << (count & 2) * 16;
  }
  return four;
}
FASTCONV_LEAF void store_first_of_four(void* to, uint64_t four, int count) {
  char* at = static_cast<char*>(to);
  if (count >= 4) {
    __builtin_memcpy(at, &four, 8);
    return;
  }
  if (count >= 2) {
    __builtin_memcpy(at, &four, 4);
    four >>= 32;
    at += 4;
  }
  if (count & 1) __builtin_memcpy(at, &four, 2);
}

template <class T>
FASTCONV_LEAF Vec<T> load_first_halves(const T* from, int count) {
#if REGISTER_BYTES == 64
  return widen<T>(
      (HalfBits)_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << count) - 1), from));
#else
  constexpr int FOURS = LANES<T> / 4;
  uint64_t fours[FOURS];
#pragma GCC unroll 4
  for (int i = 0; i < FOURS; ++i)
    fours[i] = first_of_four(from + 4 * i, count > 4 * i ? count - 4 * i : 0);
  HalfBits bits;
  __builtin_memcpy(&bits, fours, sizeof bits);
  return widen<T>(bits);
#endif
}
template <class T>
FASTCONV_LEAF void store_first_halves(T* to, Vec<T> v, int count) {
  const HalfBits bits = narrow<T>(v);
#if REGISTER_BYTES == 64
  _mm256_mask_storeu_epi16(to, static_cast<__mmask16>((1u << count) - 1), (__m256i)bits);
#else
  constexpr int FOURS = LANES<T> / 4;
  uint64_t fours[FOURS];
  __builtin_memcpy(fours, &bits, sizeof bits);
#pragma GCC unroll 4
  for (int i = 0; i < FOURS; ++i)
    store_first_of_four(to + 4 * i, fours[i], count > 4 * i ? count - 4 * i : 0);
#endif
}

template <class T>
FASTCONV_LEAF Vec<T> load_range_of_halves(const T* from, LaneRange<T> range, Lane<T> fill) {
#if REGISTER_BYTES == 64
  const __mmask16 mask = static_cast<__mmask16>(range.bits);
  const Vec<T> v = widen<T>((HalfBits)_mm256_maskz_loadu_epi16(mask, from));
  return (Vec<T>)_mm512_mask_blend_ps(mask, (__m512)broadcast(fill), (__m512)v);
#else
  Vec<T> v = broadcast(fill);
  for (int i = range.first; i < range.end; ++i) v[i] = static_cast<Lane<T>>(from[i]);
  return v;
#endif
}
