// Division by a number that the host knows: a multiplication and a shift. Layer: cuda/common.
// Granlund and Montgomery, "Division by invariant integers using multiplication", PLDI 1994.
//
// With l = ceil(log2 d) and m = ceil(2^(b + l) / d), floor(n / d) = floor(n m / 2^(b + l)) for all
// n < 2^b: n m / 2^(b + l) exceeds n / d by less than 2^l / d * n / 2^(b + l) < 1 / d.
#pragma once

#include "compat.h"

namespace fastconv::cuda {

template <class Index>
struct Quotient {
  Index quotient, remainder;
};

// Index: uint32_t for n < 2^31, uint64_t for n < 2^62.
template <class Index>
struct Divider {
  static constexpr bool WIDE = sizeof(Index) == 8;
  static constexpr int BITS = WIDE ? 62 : 31;
  Index divisor = 1, magic = Index(1) << BITS;
  int log = 0;

  Divider() = default;
  explicit Divider(int64_t by) : divisor(Index(by > 0 ? by : 1)) {
    while ((Index(1) << log) < divisor) ++log;
    const auto power = static_cast<unsigned __int128>(1) << (BITS + log);
    magic = Index((power + divisor - 1) / divisor);
  }

  __device__ __forceinline__ Index divide(Index n) const {
    if constexpr (WIDE) {
      const uint64_t high = multiply_high(n, magic), low = n * magic;
      return log < 2 ? high << (2 - log) | low >> (62 + log) : high >> (log - 2);
    } else {
      return Index(uint64_t(n) * magic >> (BITS + log));
    }
  }
  __device__ __forceinline__ Quotient<Index> operator()(Index n) const {
    const Index q = divide(n);
    return {q, Index(n - q * divisor)};
  }
};

// Whether indices below `count` are 32-bit ones.
constexpr bool is_narrow(int64_t count) { return count < int64_t(1) << 31; }

}  // namespace fastconv::cuda
