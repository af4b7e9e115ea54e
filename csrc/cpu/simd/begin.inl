// Opens the namespace of one instruction set and compiles what follows, up to end.inl, for it: vectors
// and shuffles first. Included by the <family>/leaves.inl of each family, which <family>/<isa>.cpp
// includes after the macros of simd/<isa>.h:
//   ISA              the namespace
//   VECTOR_BYTES     of a vector
//   REGISTER_BYTES   of a register of the CPU
//   REGISTERS        how many there are
//   TARGET           what to compile for, beyond the least of all CPUs; may be missing
// There are no standard templates, lambdas with captures by default, OpenMP or static initialisers in
// between: they would be shared with code for other CPUs.

#if defined(TARGET)
#include <immintrin.h>
#endif

#include <cstdint>

// From here on functions are compiled for TARGET; what is included above is not.
#if defined(TARGET)
#define FASTCONV_PRAGMA(text) _Pragma(#text)
#define FASTCONV_EXPANDED(text) FASTCONV_PRAGMA(text)
#if defined(__clang__)
FASTCONV_EXPANDED(clang attribute push(__attribute__((target(TARGET))), apply_to = function))
#else
FASTCONV_EXPANDED(GCC target(TARGET))
#endif
#endif

#define FASTCONV_LEAF inline __attribute__((always_inline))

namespace fastconv::cpu::ISA {
namespace {

// Tiles by register count: 12 accumulators of 16 registers, 24 of 32. A multiply-add takes 4 cycles
// on 2 ports, so 8 or more independent sums keep the ports busy.
constexpr bool WIDE = REGISTERS == 32;

// Integers of the same width as T, for codes that travel in the lanes beside values, and for masks.
template <int BYTES>
struct IntegerOf;
template <>
struct IntegerOf<4> {
  using type = int32_t;
};
template <>
struct IntegerOf<8> {
  using type = int64_t;
};
template <class T>
using LaneInteger = typename IntegerOf<sizeof(T)>::type;

#if VECTOR_BYTES == 32
alignas(64) const int32_t LANE_BITS_32[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
alignas(64) const int64_t LANE_BITS_64[8] = {-1, -1, -1, -1};
FASTCONV_LEAF __m256i first_lanes_32(int count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(LANE_BITS_32 + 8 - count));
}
FASTCONV_LEAF __m256i first_lanes_64(int count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(LANE_BITS_64 + 4 - count));
}
#endif

#include "vec.inl"
#include "shuffles.inl"
