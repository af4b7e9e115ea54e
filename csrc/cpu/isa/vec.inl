// Vec<T>: VECTOR_BYTES of T in one register (GCC vector extensions), and the few operations on it
// that leaf kernels need. The only file with vector types and intrinsics. Included once per
// instruction set, inside its namespace.

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

// Subtracting +0 keeps every value, -0 included; adding would not.
template <class T>
FASTCONV_LEAF Vec<T> broadcast(T value) {
  return value - Vec<T>{};
}

// The compiler may otherwise fold a load into each of several multiply-adds and read the same line
// again and again.
template <class V>
FASTCONV_LEAF void keep_in_register(V& v) {
#if VECTOR_BYTES == 64
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#else
  (void)v;
#endif
}

// The first `count` lanes; other lanes are 0 and other memory is not touched. 0 <= count <= LANES.
template <class T>
FASTCONV_LEAF Vec<T> load_partial(const T* from, int count) {
#if VECTOR_BYTES == 64
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
  Vec<T> v{};
  for (int i = 0; i < LANES<T>; ++i)
    if (i < count) v[i] = from[i];
  return v;
#endif
}

template <class T>
FASTCONV_LEAF void store_partial(T* to, Vec<T> v, int count) {
#if VECTOR_BYTES == 64
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
  for (int i = 0; i < LANES<T>; ++i)
    if (i < count) to[i] = v[i];
#endif
}

// {a0, b0, a1, b1, ...} of the lower (HIGH = 0) or upper (HIGH = 1) halves; {a0, a2, ... b0, b2,
// ...} from ODD = 0. The masks are plain loops that the compiler folds into constants.
template <class T>
using LaneMask = Vec<LaneInteger<T>>;

template <class T>
FASTCONV_LEAF Vec<T> shuffle(Vec<T> a, Vec<T> b, LaneMask<T> mask) {
#if defined(__clang__)
  Vec<T> r;
  for (int i = 0; i < LANES<T>; ++i) r[i] = mask[i] < LANES<T> ? a[mask[i]] : b[mask[i] - LANES<T>];
  return r;
#else
  return __builtin_shuffle(a, b, mask);
#endif
}

template <class T, int HIGH>
FASTCONV_LEAF Vec<T> zip(Vec<T> a, Vec<T> b) {
  LaneMask<T> mask;
  for (int i = 0; i < LANES<T>; ++i) mask[i] = HIGH * LANES<T> / 2 + i / 2 + (i % 2) * LANES<T>;
  return shuffle<T>(a, b, mask);
}

template <class T>
FASTCONV_LEAF Vec<T> even_lanes(Vec<T> a, Vec<T> b) {
  LaneMask<T> mask;
  for (int i = 0; i < LANES<T>; ++i) mask[i] = 2 * i;
  return shuffle<T>(a, b, mask);
}
