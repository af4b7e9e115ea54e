// The instruction set of this process, and the lookup of a family's table of leaf kernels. The CPU
// is asked once; the environment variable FASTCONV_ISA forces another set. Layer: cpu.
#pragma once

#include <cstdint>

#include "../../core/dtype.h"

namespace fastconv::cpu {

// Vectors have 16, 32, 64 and 64 bytes. avx2_wide compiles AVX-512's vectors and tiles for AVX2.
// Tests use it on CPUs without AVX-512. Only fastconv._debug has it.
enum class Isa { generic, avx2, avx512, avx2_wide };
constexpr int ISA_COUNT = 4;
constexpr const char* ISA_NAMES[ISA_COUNT] = {"generic", "avx2", "avx512", "avx2-wide"};

bool isa_supported(Isa isa);

// Whether the CPU has AVX512_BF16: products of pairs of bfloat16.
bool has_bfloat16_products();

// Returns what FASTCONV_ISA asks for, else the widest supported set. `error` is the end of a
// sentence if FASTCONV_ISA asks for a set that is unknown or not supported; otherwise null.
struct IsaChoice {
  Isa isa;
  const char* error;
};
IsaChoice choose_isa();

// Returns the set in use; generic if choose_isa reports an error.
Isa isa();

// Returns the set whose vectors waste the fewest lanes for `channels` elements of `element_bytes`
// each: AVX2 when all channels fit half an AVX-512 vector.
Isa isa_for_channels(int64_t channels, int64_t element_bytes);

// Declares `name`(Isa), which returns a family's table of leaf kernels for T. Each <isa>.cpp of the
// family defines the function `name` in its namespace. avx2_wide has the types that are summed in
// float alone and may be missing.
#if defined(__x86_64__)
#define FASTCONV_TABLE(Table, name)                                       \
  namespace generic {                                                     \
  template <class T>                                                      \
  const Table<T>& name();                                                 \
  }                                                                       \
  namespace avx2 {                                                        \
  template <class T>                                                      \
  const Table<T>& name();                                                 \
  }                                                                       \
  namespace avx512 {                                                      \
  template <class T>                                                      \
  const Table<T>& name();                                                 \
  }                                                                       \
  namespace avx2_wide {                                                   \
  __attribute__((weak)) const Table<float>& name(const float*);           \
  __attribute__((weak)) const Table<Half>& name(const Half*);             \
  __attribute__((weak)) const Table<BFloat16>& name(const BFloat16*);     \
  }                                                                       \
  template <class T>                                                      \
  const Table<T>& name(Isa isa) {                                         \
    if (isa == Isa::avx512) return avx512::name<T>();                     \
    if constexpr (sizeof(SumOf<T>) == sizeof(float)) {                    \
      const Table<T>& (*wide)(const T*) = avx2_wide::name;                \
      if (isa == Isa::avx2_wide && wide != nullptr) return wide(nullptr); \
    }                                                                     \
    return isa == Isa::generic ? generic::name<T>() : avx2::name<T>();    \
  }
#else
#define FASTCONV_TABLE(Table, name) \
  namespace generic {               \
  template <class T>                \
  const Table<T>& name();           \
  }                                 \
  template <class T>                \
  const Table<T>& name(Isa) {       \
    return generic::name<T>();      \
  }
#endif

}  // namespace fastconv::cpu
