// A number that tells whether memory has changed. Layer: cpu.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

// Of `bytes` of memory, for any number of threads the same. Differs where one 32-bit word does, and
// for other changes but in one of 2^32 cases.
uint64_t checksum(const void* data, int64_t bytes, int threads);

}  // namespace fastconv::cpu
