// Chooses the instruction set (isa.h). Layer: cpu.
#include "isa.h"

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "../simd/table.h"

namespace fastconv::cpu {

#if defined(__x86_64__)
namespace {

// Conversion between float16 and float32. (Older compilers do not know "f16c" as a name.)
bool has_f16c() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

}  // namespace
#endif

bool isa_supported(Isa isa) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case Isa::generic:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avx512:
      return avx2 && avx512;
    case Isa::avx2_wide:
      return avx2 && static_cast<const RowKernels<float>& (*)(const float*)>(
                         avx2_wide::row_kernels) != nullptr;
  }
#endif
  return isa == Isa::generic;
}

bool has_bfloat16_products() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

IsaChoice choose_isa() {
  const char* wanted = std::getenv("FASTCONV_ISA");
  if (!wanted || !*wanted) {
    int widest = static_cast<int>(Isa::avx512);
    while (!isa_supported(static_cast<Isa>(widest))) --widest;
    return {static_cast<Isa>(widest), nullptr};
  }
  for (int i = 0; i < ISA_COUNT; ++i) {
    if (std::strcmp(wanted, ISA_NAMES[i]) != 0) continue;
    if (isa_supported(static_cast<Isa>(i))) return {static_cast<Isa>(i), nullptr};
    return {Isa::generic, i == static_cast<int>(Isa::avx2_wide) ? "is for tests, in fastconv._debug"
                                                                : "is not supported by this CPU"};
  }
  return {Isa::generic, "is not one of generic, avx2, avx512"};
}

Isa isa() {
  static const Isa chosen = choose_isa().isa;
  return chosen;
}

Isa isa_for_channels(int64_t channels, int64_t element_bytes) {
  constexpr int64_t HALF_VECTOR_BYTES = 32;
  const bool half = isa() >= Isa::avx512 && channels * element_bytes <= HALF_VECTOR_BYTES;
  return half ? Isa::avx2 : isa();
}

}  // namespace fastconv::cpu
