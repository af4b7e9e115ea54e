// The instruction set of this process: asked of the CPU once, or forced by the environment variable
// FASTCONV_ISA. Layer: cpu.
#pragma once

namespace fastconv::cpu {

enum class Isa { generic, avx2, avx512 };
constexpr int ISA_COUNT = 3;
constexpr const char* ISA_NAMES[ISA_COUNT] = {"generic", "avx2", "avx512"};

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
