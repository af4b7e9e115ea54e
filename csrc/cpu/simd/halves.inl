// 16-bit types in vectors of float: loads that widen, and stores that round to nearest, ties to even
// (../../core/half.h). Layer: cpu/simd.

typedef uint16_t HalfBits __attribute__((vector_size(VECTOR_BYTES / 2)));
typedef uint64_t HalfPieces __attribute__((vector_size(VECTOR_BYTES / 2)));  // of 4 elements

#if defined(__x86_64__) && REGISTER_BYTES >= 32
constexpr int TO_NEAREST = 0;  // ties to even, whatever the mode of the CPU
#endif
#if REGISTER_BYTES == 64
constexpr __mmask16 EVERY_LANE = 0xffff;  // g++ 12 warns of conversions without a mask
#endif

template <class T>
FASTCONV_LEAF Vec<T> widen(HalfBits bits) {
  if constexpr (__is_same(T, BFloat16))
    return (Vec<T>)(__builtin_convertvector(bits, Vec<uint32_t>) << 16);
#if REGISTER_BYTES == 64
  return (Vec<T>)_mm512_maskz_cvtph_ps(EVERY_LANE, (__m256i)bits);
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

// The lower halves of lanes whose upper halves are 0.
FASTCONV_LEAF HalfBits pack_halves(Vec<uint32_t> lanes) {
#if REGISTER_BYTES == 32
  constexpr int PARTS = VECTOR_BYTES / REGISTER_BYTES;
  __m256i from[PARTS];
  __m128i to[PARTS];
  __builtin_memcpy(from, &lanes, sizeof lanes);
#pragma GCC unroll 2
  for (int i = 0; i < PARTS; ++i)
    to[i] = _mm_packus_epi32(_mm256_castsi256_si128(from[i]), _mm256_extracti128_si256(from[i], 1));
  HalfBits bits;
  __builtin_memcpy(&bits, to, sizeof bits);
  return bits;
#else
  return __builtin_convertvector(lanes, HalfBits);
#endif
}

template <class T>
FASTCONV_LEAF HalfBits narrow(Vec<T> v) {
  if constexpr (__is_same(T, BFloat16)) {
    const auto bits = (Vec<uint32_t>)v;
    const auto rounded = bits + (0x7fff + (bits >> 16 & 1));
    return pack_halves((v == v ? rounded : bits | 0x400000) >> 16);
  }
#if REGISTER_BYTES == 64
  return (HalfBits)_mm512_maskz_cvtps_ph(EVERY_LANE, (__m512)v, TO_NEAREST);
#elif REGISTER_BYTES == 32
  constexpr int PARTS = VECTOR_BYTES / REGISTER_BYTES;
  __m256 from[PARTS];
  __m128i to[PARTS];
  __builtin_memcpy(from, &v, sizeof v);
#pragma GCC unroll 2
  for (int i = 0; i < PARTS; ++i) to[i] = _mm256_cvtps_ph(from[i], TO_NEAREST);
  HalfBits bits;
  __builtin_memcpy(&bits, to, sizeof bits);
  return bits;
#else
  HalfBits bits;
  for (int i = 0; i < LANES<T>; ++i) bits[i] = round_to_half(v[i]);
  return bits;
#endif
}
// The same for values of T, which need no rounding.
template <class T>
FASTCONV_LEAF HalfBits narrow_exactly(Vec<T> v) {
  if constexpr (__is_same(T, BFloat16)) return pack_halves((Vec<uint32_t>)v >> 16);
  return narrow<T>(v);
}

// A single element, by an instruction where there is one.
template <class T>
FASTCONV_LEAF Lane<T> widen_one(T value) {
#if defined(__x86_64__) && REGISTER_BYTES >= 32
  if constexpr (__is_same(T, Half))
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(value.bits)));
#endif
  return static_cast<Lane<T>>(value);
}
template <class T>
FASTCONV_LEAF T round_one(Lane<T> value) {
#if defined(__x86_64__) && REGISTER_BYTES >= 32
  if constexpr (__is_same(T, Half)) {
    Half half;
    half.bits =
        static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(value), TO_NEAREST)));
    return half;
  }
#endif
  return T(value);
}

// Of 2 * LANES elements. A lane of 32 bits has an even element in its lower and an odd one in its upper
// half: each is a bfloat16 in place.
template <class T>
FASTCONV_LEAF void load_even_and_odd_halves(const T* from, Vec<T>& even, Vec<T>& odd) {
  Vec<uint32_t> pairs;
  __builtin_memcpy(&pairs, from, sizeof pairs);
  if constexpr (__is_same(T, BFloat16)) {
    even = (Vec<T>)(pairs << 16);
    odd = (Vec<T>)(pairs & 0xffff0000);
    return;
  }
#if REGISTER_BYTES == 32
  const __m128i split = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  constexpr int PARTS = VECTOR_BYTES / REGISTER_BYTES;
  __m128i in[2 * PARTS], even_bits[PARTS], odd_bits[PARTS];
  __builtin_memcpy(in, &pairs, sizeof in);
#pragma GCC unroll 2
  for (int i = 0; i < PARTS; ++i) {
    const __m128i low = _mm_shuffle_epi8(in[2 * i], split);
    const __m128i high = _mm_shuffle_epi8(in[2 * i + 1], split);
    even_bits[i] = _mm_unpacklo_epi64(low, high);
    odd_bits[i] = _mm_unpackhi_epi64(low, high);
  }
  HalfBits bits;
  __builtin_memcpy(&bits, even_bits, sizeof bits);
  even = widen<T>(bits);
  __builtin_memcpy(&bits, odd_bits, sizeof bits);
  odd = widen<T>(bits);
#else
  even = widen<T>(pack_halves(pairs & 0xffff));
  odd = widen<T>(pack_halves(pairs >> 16));
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

// The lanes [first, end) of memory, the others are 0. No other memory is read, or written. Rows end once,
// so these are calls: in line they would be most of a kernel's code.
__attribute__((noinline, unused)) HalfBits load_some(const void* from, int first, int end) {
#if REGISTER_BYTES == 64
  const uint32_t bits = ((1u << end) - 1) & ~((1u << first) - 1);
  return (HalfBits)_mm256_maskz_loadu_epi16(static_cast<__mmask16>(bits), from);
#else
  uint16_t lanes[VECTOR_BYTES / 4] = {};
  for (int i = first; i < end; ++i)
    __builtin_memcpy(lanes + i, static_cast<const char*>(from) + 2 * i, 2);
  HalfBits bits;
  __builtin_memcpy(&bits, lanes, sizeof bits);
  return bits;
#endif
}
__attribute__((noinline, unused)) void store_some(void* to, HalfBits bits, int count) {
#if REGISTER_BYTES == 64
  _mm256_mask_storeu_epi16(to, static_cast<__mmask16>((1u << count) - 1), (__m256i)bits);
#else
  for (int i = 0; i < count; ++i) {
    const uint16_t lane = bits[i];
    __builtin_memcpy(static_cast<char*>(to) + 2 * i, &lane, 2);
  }
#endif
}

template <class T>
FASTCONV_LEAF Vec<T> load_first_halves(const T* from, int count) {
  return widen<T>(load_some(from, 0, count));
}
template <class T>
FASTCONV_LEAF void store_first_halves(T* to, Vec<T> v, int count) {
  store_some(to, narrow<T>(v), count);
}

// Stores the first `count` lanes, which are values of T: bfloat16 takes no rounding then.
template <class T>
FASTCONV_LEAF void store_first_exactly(T* to, Vec<T> v, int count) {
  if constexpr (!IS_HALF<T>) return store_first(to, v, count);
  const HalfBits bits = narrow_exactly<T>(v);
  if (count == LANES<T>)
    __builtin_memcpy(to, &bits, sizeof bits);
  else
    store_some(to, bits, count);
}

template <class T>
FASTCONV_LEAF Vec<T> load_range_of_halves(const T* from, LaneRange<T> range, Lane<T> fill) {
#if REGISTER_BYTES == 64
  const int first = range.bits ? __builtin_ctz(range.bits) : 0;
  const int end = range.bits ? 32 - __builtin_clz(range.bits) : 0;
#else
  const int first = range.first, end = range.end;
#endif
  const Vec<T> v = widen<T>(load_some(from, first, end));
  const auto lane = ramp(LaneInteger<T>(1));
  return (lane >= LaneInteger<T>(first)) & (lane < LaneInteger<T>(end)) ? v : broadcast(fill);
}
