// The products of pairs of bfloat16 for AVX512_BF16.
#if defined(__x86_64__)
#include "../../simd/avx512_bf16.h"
#include "leaves.inl"
#endif
