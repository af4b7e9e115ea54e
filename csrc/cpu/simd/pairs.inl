// Pairs of bfloat16 in lanes of 32 bits: lower half first. Included by the families that use them.
// Layer: cpu/simd.
//   sum + lower * lower + upper * upper       of each lane
// as VDPBF16PS computes it (Intel SDM, volume 2): the upper halves first, each product added by one
// fused multiply-add, rounded to nearest, ties to even. Denormal numbers count as 0, in pairs and
// sums, before and after, whatever the mode of the CPU.

// Denormals become 0 of the same sign.
FASTCONV_LEAF Vec<float> without_denormals(Vec<float> v) {
  const auto bits = (Vec<uint32_t>)v;
  return (Vec<float>)((bits & 0x7f800000) == 0 ? bits & 0x80000000 : bits);
}

FASTCONV_LEAF Vec<float> lower_of_pair(Vec<float> v) {
  return without_denormals((Vec<float>)((Vec<uint32_t>)v << 16));
}
FASTCONV_LEAF Vec<float> upper_of_pair(Vec<float> v) {
  return without_denormals((Vec<float>)((Vec<uint32_t>)v & 0xffff0000));
}

FASTCONV_LEAF Vec<float> add_products_of_pairs(Vec<float> a, Vec<float> b, Vec<float> sum) {
#if defined(BFLOAT16_PRODUCTS)
  return (Vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
  // A product of two bfloat16 is exact in float but for underflow, so fused or not is the same.
  sum = without_denormals(without_denormals(sum) + upper_of_pair(a) * upper_of_pair(b));
  return without_denormals(sum + lower_of_pair(a) * lower_of_pair(b));
#endif
}

// The pair at `from` in every lane. It is no number, so no arithmetic may touch it.
FASTCONV_LEAF Vec<float> broadcast_pair(const float* from) {
  uint32_t pair;
  __builtin_memcpy(&pair, from, sizeof pair);
  return (Vec<float>)broadcast(pair);
}

// Lanes of two rows, which are values of bfloat16, become pairs.
FASTCONV_LEAF Vec<float> pair_of(Vec<float> lower, Vec<float> upper) {
  return (Vec<float>)((Vec<uint32_t>)lower >> 16 | ((Vec<uint32_t>)upper & 0xffff0000));
}
