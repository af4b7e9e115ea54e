// Vec<T>, a vector of VECTOR_BYTES (GCC vector extensions), and the operations that leaf kernels
// need. Of a 16-bit type T it is a vector of float: loads widen and stores round (halves.inl). Operations that move lanes are in shuffles.inl. No other file has vector types or
// intrinsics. The namespace of each instruction set includes this file. Layer: cpu/simd.

template <class L>
struct VecOf {
  static_assert(sizeof(L) == 4 || sizeof(L) == 8,
                "lanes have 4 or 8 bytes, and below what has not 4 has 8");
  typedef L type __attribute__((vector_size(VECTOR_BYTES)));
};
template <class T>
using Vec = typename VecOf<Lane<T>>::type;

template <class T>
constexpr int LANES = VECTOR_BYTES / static_cast<int>(sizeof(Lane<T>));

// Of 16-bit types, defined in halves.inl.
template <class T>
constexpr bool IS_HALF = sizeof(T) == 2;
template <class T>
FASTCONV_LEAF Vec<T> load_halves(const T* from);
template <class T>
FASTCONV_LEAF void store_halves(T* to, Vec<T> v);
template <class T>
FASTCONV_LEAF Vec<T> load_first_halves(const T* from, int count);
template <class T>
FASTCONV_LEAF void store_first_halves(T* to, Vec<T> v, int count);

template <class T>
FASTCONV_LEAF Vec<T> load(const T* from) {
  if constexpr (IS_HALF<T>) return load_halves(from);
  Vec<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <class T>
FASTCONV_LEAF void store(T* to, Vec<T> v) {
  if constexpr (IS_HALF<T>) return store_halves(to, v);
  __builtin_memcpy(to, &v, sizeof v);
}

// Non-temporal store: writes to memory past the caches, without reading the line first and without
// evicting others. It is for data that is read again only after more than a cache full. `to` is
// aligned to the vector.
template <class T>
FASTCONV_LEAF void stream(T* to, Vec<T> v) {
#if REGISTER_BYTES == 64
  if constexpr (IS_HALF<T>) return store(to, v);  // half a line
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), (__m512i)v);
#else
  store(to, v);  // the vector is shorter than a cache line
#endif
}
FASTCONV_LEAF void wait_for_streams() {
#if REGISTER_BYTES == 64
  _mm_sfence();
#endif
}

// Subtracting +0 keeps every value. Adding +0 would turn -0 into +0.
template <class T>
FASTCONV_LEAF Vec<T> broadcast(T value) {
  return static_cast<Lane<T>>(value) - Vec<T>{};
}

// a * b + c, rounded once if the instruction set can. In a sum of several products the compiler
// would choose which product to fuse, and not alike for each instruction set, so bits would differ.
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

// Of each lane its lower half times its upper half, exactly. (g++ does not see that these are zero
// beyond 32 bits, and multiplies three times.)
FASTCONV_LEAF Vec<uint64_t> multiply_halves(Vec<uint64_t> v) {
#if REGISTER_BYTES == 64
  return (Vec<uint64_t>)_mm512_mul_epu32((__m512i)v, (__m512i)(v >> 32));
#elif REGISTER_BYTES == 32
  constexpr int PARTS = VECTOR_BYTES / REGISTER_BYTES;
  __m256i x[PARTS];
  __builtin_memcpy(x, &v, sizeof v);
#pragma GCC unroll 2
  for (int i = 0; i < PARTS; ++i) x[i] = _mm256_mul_epu32(x[i], _mm256_srli_epi64(x[i], 32));
  __builtin_memcpy(&v, x, sizeof v);
  return v;
#elif defined(__SSE2__)
  return (Vec<uint64_t>)_mm_mul_epu32((__m128i)v, (__m128i)(v >> 32));
#else
  return (v & 0xffffffff) * (v >> 32);
#endif
}

// Keeps the compiler from folding a load into each of several multiply-adds, which would read the
// same line several times.
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

// Loads the first `count` lanes; the others are 0. Reads no other memory. 0 <= count <= LANES.
template <class T>
FASTCONV_LEAF Vec<T> load_partial(const T* from, int count) {
  if constexpr (IS_HALF<T>) return load_first_halves(from, count);
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
  if constexpr (IS_HALF<T>) return store_first_halves(to, v, count);
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

// Lane numbers 0 .. N - 1 as template arguments, for the masks of shuffles.inl.
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

// {0, step, 2 * step, ...}
template <class Integer, int... I>
FASTCONV_LEAF Vec<Integer> ramp(Integer step, Lanes<I...>) {
  return Vec<Integer>{I...} * step;
}
template <class Integer>
FASTCONV_LEAF Vec<Integer> ramp(Integer step) {
  return ramp(step, AllLanes<Integer>{});
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

// A range of lanes whose memory may be read or written.
template <class T>
struct LaneRange {
#if REGISTER_BYTES == 64
  uint32_t bits;
#else
  int first, end;
#endif
};

// The lanes of [first, end) that exist.
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

template <class T>
FASTCONV_LEAF Vec<T> load_range_of_halves(const T* from, LaneRange<T> range, Lane<T> fill);

// Loads the lanes of `range`; the others are `fill`.
template <class T>
FASTCONV_LEAF Vec<T> load_range(const T* from, LaneRange<T> range, Lane<T> fill) {
  if constexpr (IS_HALF<T>) return load_range_of_halves(from, range, fill);
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
