// The leaf kernels for AVX-512 (F, BW, DQ, VL).
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>

#include "../kernels.h"

#define ISA avx512
#define VECTOR_BYTES 64
#define REGISTER_BYTES 64
#define REGISTERS 32

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#include "kernels.inl"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
