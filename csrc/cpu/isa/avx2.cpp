// The leaf kernels for AVX2 with FMA.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>

#include "../kernels.h"

#define ISA avx2
#define VECTOR_BYTES 32
#define REGISTER_BYTES 32
#define REGISTERS 16

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#include "kernels.inl"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
