// Stores past the caches and prefetches for AVX2 as well (vec.inl has the non-temporal store of
// whole lines). Included by the families that use them. Layer: cpu/simd.

// Non-temporal store of a vector that may be half a line. The other half follows soon, so that the
// CPU combines them. `to` is aligned to the vector; wait_for_half_lines() comes afterwards.
template <class T>
FASTCONV_LEAF void stream_half_line(T* to, Vec<T> v) {
  if constexpr (IS_HALF<T>) return store(to, v);
#if REGISTER_BYTES == 32 && VECTOR_BYTES == 32
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), (__m256i)v);
#else
  stream(to, v);
#endif
}

// Returns when other threads may read what non-temporal stores have written.
FASTCONV_LEAF void wait_for_half_lines() {
#if REGISTER_BYTES >= 32
  _mm_sfence();
#endif
}

// Fetches the line of `at`, to be written. (For AVX2 and AVX-512 alone the compiler knows no
// instruction for that, and would fetch the line to be read.)
FASTCONV_LEAF void prefetch_to_write(const void* at) {
#if REGISTER_BYTES >= 32
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(at)));
#else
  __builtin_prefetch(at, 1);
#endif
}

// A range of lanes as a mask of all bits, for loads and values that are masked many times.
template <class T>
struct LaneMask {
  Vec<LaneInteger<T>> bits;
  LaneRange<T> range;
};
template <class T>
FASTCONV_LEAF LaneMask<T> lane_mask_of(int64_t first, int64_t end) {
  using Integer = LaneInteger<T>;
  const Integer low = static_cast<Integer>(first < 0 ? 0 : first > LANES<T> ? LANES<T> : first);
  const Integer high = static_cast<Integer>(end < 0 ? 0 : end > LANES<T> ? LANES<T> : end);
  const Vec<Integer> lane = ramp(Integer(1));
  return {(Vec<Integer>)((lane >= low) & (lane < high)), lane_range<T>(first, end)};
}

// Lanes outside the mask become 0, NaN too.
template <class T>
FASTCONV_LEAF Vec<T> keep_lanes(Vec<T> v, const LaneMask<T>& mask) {
  return (Vec<T>)((Vec<LaneInteger<T>>)v & mask.bits);
}
// Loads the lanes of the mask; the others are 0. Reads no other memory.
template <class T>
FASTCONV_LEAF Vec<T> load_lanes(const T* from, const LaneMask<T>& mask) {
  if constexpr (IS_HALF<T>) return load_range(from, mask.range, Lane<T>(0));
#if REGISTER_BYTES == 32 && VECTOR_BYTES == 32
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_maskload_ps(reinterpret_cast<const float*>(from), (__m256i)mask.bits);
  else
    return (Vec<T>)_mm256_maskload_pd(reinterpret_cast<const double*>(from), (__m256i)mask.bits);
#else
  return load_range(from, mask.range, Lane<T>(0));
#endif
}
