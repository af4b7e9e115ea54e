// Vec<T>: VECTOR_BYTES of T (GCC vector extensions), in one register unless REGISTER_BYTES are
// fewer, and the few operations on it that leaf kernels need. The only file with vector types and
// intrinsics. Included once per instruction set, inside its namespace.

template <class T>
struct VecOf {
  typedef T type __attribute__((vector_size(VECTOR_BYTES)));
};
template <class T>
using Vec = typename VecOf<T>::type;

template <class T>
constexpr int LANES = VECTOR_BYTES / static_cast<int>(sizeof(T));

template <class T>
FASTCONV_LEAF Vec<T> load(const T* from) {
  Vec<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <class T>
FASTCONV_LEAF void store(T* to, Vec<T> v) {
  __builtin_memcpy(to, &v, sizeof v);
}

// To memory past the caches, which spares reading the line first and evicting others: for what is
// read again only after more than a cache full. `to` is aligned to the vector.
template <class T>
FASTCONV_LEAF void stream(T* to, Vec<T> v) {
#if REGISTER_BYTES == 64
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), (__m512i)v);
#else
  store(to, v);  // less than a line at a time
#endif
}
FASTCONV_LEAF void wait_for_streams() {
#if REGISTER_BYTES == 64
  _mm_sfence();
#endif
}

// Subtracting +0 keeps every value, -0 included; adding would not.
template <class T>
FASTCONV_LEAF Vec<T> broadcast(T value) {
  return value - Vec<T>{};
}

// a * b + c, rounded once where the instruction set can: for sums of several products, where each
// compiler would choose by itself which of them to contract, and instruction sets differ in bits.
template <class T>
FASTCONV_LEAF Vec<T> fma(T a, Vec<T> b, Vec<T> c) {
#if REGISTER_BYTES == 64
  if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm512_fmadd_ps((__m512)broadcast(a), (__m512)b, (__m512)c);
  } else {
    return (Vec<T>)_mm512_fmadd_pd((__m512d)broadcast(a), (__m512d)b, (__m512d)c);
  }
#elif REGISTER_BYTES == 32
  constexpr int PARTS = VECTOR_BYTES / REGISTER_BYTES;
  __m256i x[PARTS], y[PARTS];
  __builtin_memcpy(x, &b, sizeof b);
  __builtin_memcpy(y, &c, sizeof c);
#pragma GCC unroll 2
  for (int i = 0; i < PARTS; ++i) {
    if constexpr (sizeof(T) == 4)
      y[i] = (__m256i)_mm256_fmadd_ps(_mm256_set1_ps(a), (__m256)x[i], (__m256)y[i]);
    else
      y[i] = (__m256i)_mm256_fmadd_pd(_mm256_set1_pd(a), (__m256d)x[i], (__m256d)y[i]);
  }
  __builtin_memcpy(&c, y, sizeof c);
  return c;
#else
  return a * b + c;
#endif
}

// The compiler may otherwise fold a load into each of several multiply-adds and read the same line
// again and again.
template <class V>
FASTCONV_LEAF void keep_in_register(V& v) {
#if REGISTER_BYTES == 64
  asm("" : "+v"(v));
#elif defined(__x86_64__) && VECTOR_BYTES == REGISTER_BYTES
  asm("" : "+x"(v));
#else
  (void)v;
#endif
}

// The first `count` lanes; other lanes are 0 and other memory is not touched. 0 <= count <= LANES.
template <class T>
FASTCONV_LEAF Vec<T> load_partial(const T* from, int count) {
#if REGISTER_BYTES == 64
  if constexpr (sizeof(T) == 4) {
    const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1);
    return (Vec<T>)_mm512_maskz_loadu_epi32(mask, from);
  } else {
    const __mmask8 mask = static_cast<__mmask8>((1u << count) - 1);
    return (Vec<T>)_mm512_maskz_loadu_epi64(mask, from);
  }
#elif VECTOR_BYTES == 32
  if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm256_maskload_epi32(reinterpret_cast<const int*>(from), first_lanes_32(count));
  } else {
    return (Vec<T>)_mm256_maskload_epi64(reinterpret_cast<const long long*>(from),
                                         first_lanes_64(count));
  }
#else
  if (count == LANES<T>) return load(from);
  Vec<T> v{};
  __builtin_memcpy(&v, from, count * sizeof(T));
  return v;
#endif
}

template <class T>
FASTCONV_LEAF void store_partial(T* to, Vec<T> v, int count) {
#if REGISTER_BYTES == 64
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_epi32(to, static_cast<__mmask16>((1u << count) - 1), (__m512i)v);
  } else {
    _mm512_mask_storeu_epi64(to, static_cast<__mmask8>((1u << count) - 1), (__m512i)v);
  }
#elif VECTOR_BYTES == 32
  if constexpr (sizeof(T) == 4) {
    _mm256_maskstore_epi32(reinterpret_cast<int*>(to), first_lanes_32(count), (__m256i)v);
  } else {
    _mm256_maskstore_epi64(reinterpret_cast<long long*>(to), first_lanes_64(count), (__m256i)v);
  }
#else
  if (count == LANES<T>) return store(to, v);
  __builtin_memcpy(to, &v, count * sizeof(T));
#endif
}

// Lane numbers 0 .. N - 1 as template arguments: shuffle masks have to be constants from the start,
// because the compiler lowers shuffles before it folds loops.
template <int... I>
struct Lanes {};
template <int N, int... I>
struct MakeLanes : MakeLanes<N - 1, N - 1, I...> {};
template <int... I>
struct MakeLanes<0, I...> {
  using type = Lanes<I...>;
};
template <class T>
using AllLanes = typename MakeLanes<LANES<T>>::type;

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

// Two of every four neighbours: {a[FIRST], a[FIRST + 1], a[FIRST + 4], a[FIRST + 5], ..., b[FIRST], ...}
template <class T, int FIRST, int... I>
FASTCONV_LEAF Vec<T> two_of_four(Vec<T> a, Vec<T> b, Lanes<I...>) {
  return shuffle<T, (I / 2 * 4 + I % 2 + FIRST)...>(a, b);
}
template <class T, int FIRST>
FASTCONV_LEAF Vec<T> two_of_four(Vec<T> a, Vec<T> b) {
  return two_of_four<T, FIRST>(a, b, AllLanes<T>{});
}

// {0, step, 2 * step, ...}
template <class Integer, int... I>
FASTCONV_LEAF Vec<Integer> ramp(Integer step, Lanes<I...>) {
  return Vec<Integer>{I...} * step;
}
template <class Integer>
FASTCONV_LEAF Vec<Integer> ramp(Integer step) {
  return ramp(step, AllLanes<Integer>{});
}

// The same of every four neighbouring lanes by themselves.
template <class T, int HIGH, int... I>
FASTCONV_LEAF Vec<T> zip_quads(Vec<T> a, Vec<T> b, Lanes<I...>) {
  return shuffle<T, (I / 4 * 4 + HIGH * 2 + I % 4 / 2 + I % 2 * LANES<T>)...>(a, b);
}
template <class T, int HIGH>
FASTCONV_LEAF Vec<T> zip_quads(Vec<T> a, Vec<T> b) {
  return zip_quads<T, HIGH>(a, b, AllLanes<T>{});
}

// Lane 4 t + s of a[q] from lane 4 t + q of a[s]: its own inverse.
template <class T>
FASTCONV_LEAF void transpose_quads(Vec<T>* a) {
  const Vec<T> even_low = zip_quads<T, 0>(a[0], a[2]), even_high = zip_quads<T, 1>(a[0], a[2]);
  const Vec<T> odd_low = zip_quads<T, 0>(a[1], a[3]), odd_high = zip_quads<T, 1>(a[1], a[3]);
  a[0] = zip_quads<T, 0>(even_low, odd_low);
  a[1] = zip_quads<T, 1>(even_low, odd_low);
  a[2] = zip_quads<T, 0>(even_high, odd_high);
  a[3] = zip_quads<T, 1>(even_high, odd_high);
}

// A vector from pieces of PIECE neighbours, the i-th at at(i).
template <class T, int PIECE, class At>
FASTCONV_LEAF Vec<T> load_pieces(const At& at) {
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

// The inverse.
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

template <class T>
FASTCONV_LEAF Vec<T> load_first(const T* from, int count) {
  return count == LANES<T> ? load(from) : load_partial(from, count);
}

template <class T>
FASTCONV_LEAF void store_first(T* to, Vec<T> v, int count) {
  if (count == LANES<T>)
    store(to, v);
  else
    store_partial(to, v, count);
}

// A range of lanes: those whose memory may be touched.
template <class T>
struct LaneRange {
#if REGISTER_BYTES == 64
  uint32_t bits;
#else
  int first, end;
#endif
};

// Lanes [first, end) of those that exist.
template <class T>
FASTCONV_LEAF LaneRange<T> lane_range(int64_t first, int64_t end) {
  const int low = static_cast<int>(first < 0 ? 0 : first > LANES<T> ? LANES<T> : first);
  const int high = static_cast<int>(end < low ? low : end > LANES<T> ? LANES<T> : end);
#if REGISTER_BYTES == 64
  return {((1u << high) - 1) & ~((1u << low) - 1)};
#else
  return {low, high};
#endif
}

#if VECTOR_BYTES == 32
template <class T>
FASTCONV_LEAF __m256i lane_mask(LaneRange<T> range) {
  const auto lane = ramp(LaneInteger<T>(1));
  return (__m256i)((lane >= LaneInteger<T>(range.first)) & (lane < LaneInteger<T>(range.end)));
}
#endif

// The lanes of `range` from memory, the others `fill`.
template <class T>
FASTCONV_LEAF Vec<T> load_range(const T* from, LaneRange<T> range, T fill) {
#if REGISTER_BYTES == 64
  if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm512_mask_loadu_epi32((__m512i)broadcast(fill),
                                           static_cast<__mmask16>(range.bits), from);
  } else {
    return (Vec<T>)_mm512_mask_loadu_epi64((__m512i)broadcast(fill),
                                           static_cast<__mmask8>(range.bits), from);
  }
#elif VECTOR_BYTES == 32
  const __m256i mask = lane_mask(range);
  __m256i v;
  if constexpr (sizeof(T) == 4)
    v = _mm256_maskload_epi32(reinterpret_cast<const int*>(from), mask);
  else
    v = _mm256_maskload_epi64(reinterpret_cast<const long long*>(from), mask);
  return (Vec<T>)_mm256_blendv_epi8((__m256i)broadcast(fill), v, mask);
#else
  if (range.first == 0 && range.end == LANES<T>) return load(from);
  Vec<T> v = broadcast(fill);
  __builtin_memcpy(reinterpret_cast<T*>(&v) + range.first, from + range.first,
                   (range.end - range.first) * sizeof(T));
  return v;
#endif
}

// Codes (see MaxPoolKernels in kernels.h) travel in lanes as wide as the values, and are bytes or
// int32 in memory.
template <class T, class Code>
FASTCONV_LEAF void store_codes(Code* to, Vec<LaneInteger<T>> v, int count) {
#if REGISTER_BYTES == 64
  if constexpr (sizeof(Code) == 1 && sizeof(T) == 4)
    return _mm512_mask_cvtepi32_storeu_epi8(to, static_cast<__mmask16>((1u << count) - 1),
                                            (__m512i)v);
  if constexpr (sizeof(Code) == 1 && sizeof(T) == 8)
    return _mm512_mask_cvtepi64_storeu_epi8(to, static_cast<__mmask8>((1u << count) - 1),
                                            (__m512i)v);
#endif
  for (int i = 0; i < LANES<T>; ++i)
    if (i < count) to[i] = static_cast<Code>(v[i]);
}

template <class T, class Code>
FASTCONV_LEAF Vec<LaneInteger<T>> load_codes(const Code* from, LaneRange<T> range) {
#if REGISTER_BYTES == 64
  if constexpr (sizeof(Code) == 1) {
    const __m128i bytes = _mm_maskz_loadu_epi8(static_cast<__mmask16>(range.bits), from);
    if constexpr (sizeof(T) == 4) return (Vec<LaneInteger<T>>)_mm512_cvtepu8_epi32(bytes);
    return (Vec<LaneInteger<T>>)_mm512_cvtepu8_epi64(bytes);
  }
  Vec<LaneInteger<T>> v{};
  for (int i = 0; i < LANES<T>; ++i)
    if (range.bits >> i & 1) v[i] = from[i];
  return v;
#else
#if VECTOR_BYTES == 32
  if constexpr (sizeof(Code) == 1) {
    if (range.first == 0 && range.end == LANES<T>) {
      int64_t bytes = 0;
      __builtin_memcpy(&bytes, from, LANES<T>);
      const __m128i packed = _mm_cvtsi64_si128(bytes);
      if constexpr (sizeof(T) == 4) return (Vec<LaneInteger<T>>)_mm256_cvtepu8_epi32(packed);
      return (Vec<LaneInteger<T>>)_mm256_cvtepu8_epi64(packed);
    }
  }
#endif
  Vec<LaneInteger<T>> v{};
  for (int i = range.first; i < range.end; ++i) v[i] = from[i];
  return v;
#endif
}
