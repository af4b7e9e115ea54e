// kernels<T>(): the leaf kernels of the instruction set that dispatch.h chose. Layer: cpu.
#include "dispatch.h"

#include <cstdlib>
#include <cstring>

#include "kernels.h"

namespace fastconv::cpu {

#define DECLARE_TABLES(ISA)             \
  namespace ISA {                       \
  extern const Kernels<float> FLOAT32;  \
  extern const Kernels<double> FLOAT64; \
  }
DECLARE_TABLES(generic)
#if defined(__x86_64__)
DECLARE_TABLES(avx2)
DECLARE_TABLES(avx512)
namespace avx2_wide {
extern const Kernels<float> FLOAT32;  // float64 is avx2's
}
#endif

namespace {

template <class T>
struct Tables {
  const Kernels<T>* of[ISA_COUNT];
};

#if defined(__x86_64__)
constexpr Tables<float> FLOAT32_TABLES{
    {&generic::FLOAT32, &avx2::FLOAT32, &avx512::FLOAT32, &avx2_wide::FLOAT32}};
constexpr Tables<double> FLOAT64_TABLES{
    {&generic::FLOAT64, &avx2::FLOAT64, &avx512::FLOAT64, &avx2::FLOAT64}};
#else
constexpr Tables<float> FLOAT32_TABLES{{&generic::FLOAT32}};
constexpr Tables<double> FLOAT64_TABLES{{&generic::FLOAT64}};
#endif

template <class T>
const Kernels<T>& narrowest(const Tables<T>& tables, int64_t channels) {
  const int chosen = static_cast<int>(isa());
  const bool half = isa() >= Isa::avx512 && 2 * channels <= tables.of[chosen]->lanes;
  return *tables.of[half ? static_cast<int>(Isa::avx2) : chosen];
}

}  // namespace

bool isa_supported(Isa isa) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return isa == Isa::generic || (avx2 && (isa != Isa::avx512 || avx512));
#else
  return isa == Isa::generic;
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
    return {Isa::generic, "is not supported by this CPU"};
  }
  return {Isa::generic, "is not one of generic, avx2, avx512, avx2-wide"};
}

Isa isa() {
  static const Isa chosen = choose_isa().isa;
  return chosen;
}

template <>
const Kernels<float>& kernels<float>() {
  return *FLOAT32_TABLES.of[static_cast<int>(isa())];
}

template <>
const Kernels<double>& kernels<double>() {
  return *FLOAT64_TABLES.of[static_cast<int>(isa())];
}

template <>
const Kernels<float>& kernels_for<float>(int64_t channels) {
  return narrowest(FLOAT32_TABLES, channels);
}

template <>
const Kernels<double>& kernels_for<double>(int64_t channels) {
  return narrowest(FLOAT64_TABLES, channels);
}

}  // namespace fastconv::cpu
