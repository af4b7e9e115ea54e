// Non-temporal stores of single elements, for drivers: the CPU combines neighbours to lines, which it
// neither reads before nor keeps in the caches. Layer: cpu/simd, for drivers.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

inline void stream_element(int64_t* to, int64_t value) {
#if defined(__x86_64__)
  asm volatile("movnti %1, %0" : "=m"(*to) : "r"(value));
#else
  *to = value;
#endif
}

// Other threads may read what was stored after this.
inline void wait_for_elements() {
#if defined(__x86_64__)
  asm volatile("sfence" ::: "memory");
#endif
}

}  // namespace fastconv::cpu
