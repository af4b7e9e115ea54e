// A number that tells whether memory has changed. Layer: cpu.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

// Of `bytes` of memory, for any number of threads the same. It differs where one aligned 32-bit word
// does. Of other changes, made without regard to the keys in checksum.cpp, about one in 2^32 goes
// unnoticed; changes that are sought for the purpose can be found.
uint64_t checksum(const void* data, int64_t bytes, int threads);

}  // namespace fastconv::cpu
