// The instruction set of this process: asked of the CPU once, or forced by the environment variable
// FASTCONV_ISA. Layer: cpu.
#pragma once

namespace fastconv::cpu {

// In order of width: vectors of 16, 32, 64 and 64 bytes. avx2_wide (isa/avx2_wide.cpp) is for tests
// and only ever forced.
enum class Isa { generic, avx2, avx512, avx2_wide };
constexpr int ISA_COUNT = 4;
constexpr const char* ISA_NAMES[ISA_COUNT] = {"generic", "avx2", "avx512", "avx2-wide"};

bool isa_supported(Isa isa);

// What FASTCONV_ISA asks for, else the widest supported. One sentence in `error` if it asks for
// something unknown or not supported here.
struct IsaChoice {
  Isa isa;
  const char* error;
};
IsaChoice choose_isa();

// The choice; generic while `choose_isa` reports an error.
Isa isa();

}  // namespace fastconv::cpu
