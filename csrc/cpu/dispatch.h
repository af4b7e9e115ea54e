// What this process knows of its CPU, asked once: the instruction set, or what the environment
// variable FASTCONV_ISA forces, and how fast the last cache is. Layer: cpu.
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

// Whether a few MB written to the last cache and read back soon cost less than streaming stores to
// memory: AMD's, which at most 8 cores share. Intel's servers write to theirs at a third of the speed
// of memory (docs/performance-log.md).
bool fast_last_cache();

// The choice; generic while `choose_isa` reports an error.
Isa isa();

}  // namespace fastconv::cpu
