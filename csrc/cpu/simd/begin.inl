// Opens the namespace of one instruction set, and compiles the code up to end.inl for that set,
// beginning with vectors and shuffles. <family>/<isa>.cpp includes the macros of simd/<isa>.h and
// then <family>/leaves.inl, which includes this file. Layer: cpu/simd.

// The macros:
//   ISA              the namespace
//   VECTOR_BYTES     bytes of a vector
//   REGISTER_BYTES   bytes of a register of the CPU
//   REGISTERS        number of registers
//   TARGET           features to compile for; missing: those of every CPU
//   OPTIMIZE         the level of optimization, for g++; missing: that of the build
// Code up to end.inl has no standard templates, OpenMP or static initialisers, because the linker
// would share them with code for other CPUs.

#if defined(__x86_64__)
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
#if defined(OPTIMIZE)
FASTCONV_EXPANDED(GCC optimize(OPTIMIZE))
#endif
#endif
#endif

#define FASTCONV_LEAF inline __attribute__((always_inline))

namespace fastconv::cpu::ISA {
namespace {

// A register tile has 12 accumulators with 16 registers, and 24 with 32. A multiply-add takes 4
// cycles on 2 ports, so at least 8 independent sums are needed to keep the ports busy.
constexpr bool WIDE = REGISTERS == 32;

// The integer of the same width as T: for codes, which have lanes beside values, and for masks.
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
// The type of a lane: 16-bit types are widened when they are loaded, and rounded when stored.
template <class T>
struct LaneOf {
  using type = T;
};
template <>
struct LaneOf<Half> {
  using type = float;
};
template <>
struct LaneOf<BFloat16> {
  using type = float;
};
template <class T>
using Lane = typename LaneOf<T>::type;
template <class T>
using LaneInteger = typename IntegerOf<sizeof(Lane<T>)>::type;

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
#include "halves.inl"
#include "shuffles.inl"
#include "codes.inl"
