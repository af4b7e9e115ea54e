// A number that tells whether memory has changed. Layer: cpu.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

// Returns a number for `bytes` of memory, the same for any number of threads. A change of one aligned
// 32-bit word always changes it. About one in 2^32 of all other changes does not. A program that knows
// the keys in checksum.cpp can find such a change.
uint64_t checksum(const void* data, int64_t bytes, int threads);

}  // namespace fastconv::cpu
