// The 16-bit floating point types: float16 (IEEE 754 binary16) and bfloat16 (the upper half of a
// float32). They are stored as such and computed in float32: every value of either is one of
// float32, and a float is rounded once, to nearest, ties to even; a NaN stays one. Layer: core.
#pragma once

#include <cstdint>
#include <cstring>

namespace fastconv {

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float widen_bfloat16(uint16_t bits) { return float_of(uint32_t(bits) << 16); }
inline uint16_t round_to_bfloat16(float value) {
  const uint32_t bits = bits_of(value);
  if (value != value) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// float16 has 5 bits of exponent with a bias of 15 (float32: 8 and 127) and 10 of fraction (23).
constexpr uint32_t HALF_REBIAS = (127 - 15) << 23;
inline float widen_half(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000) << 16, size = bits & 0x7fff;
  if (size >= 0x7c00) return float_of(sign | 0x7f800000 | size << 13);
  if (size >= 0x0400) return float_of(sign | ((size << 13) + HALF_REBIAS));
  return float_of(sign | bits_of(float(size) * 0x1p-24f));  // denormal: a multiple of 2^-24
}
inline uint16_t round_to_half(float value) {
  const uint32_t bits = bits_of(value), size = bits & 0x7fffffff;
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const auto with_sign = [&](uint32_t half) { return static_cast<uint16_t>(sign | half); };
  if (size > 0x7f800000) return with_sign(0x7e00);
  if (size >= 0x477ff000) return with_sign(0x7c00);  // halfway beyond the largest: infinite
  // Below 2^-14: the addition of 0.5, whose ulp is 2^-24, rounds as a denormal is rounded.
  if (size < 0x38800000) return with_sign(bits_of(float_of(size) + 0.5f) - bits_of(0.5f));
  return with_sign((size + 0xfff + (size >> 13 & 1) - HALF_REBIAS) >> 13);
}

// They convert from and to float, so that code on single elements reads as for float.
struct BFloat16 {
  uint16_t bits;

  BFloat16() = default;
  BFloat16(float value) : bits(round_to_bfloat16(value)) {}
  operator float() const { return widen_bfloat16(bits); }
};
struct Half {
  uint16_t bits;

  Half() = default;
  Half(float value) : bits(round_to_half(value)) {}
  operator float() const { return widen_half(bits); }
};
static_assert(sizeof(BFloat16) == 2 && sizeof(Half) == 2, "as torch stores them");

}  // namespace fastconv
