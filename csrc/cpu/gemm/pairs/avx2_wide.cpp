// The products of pairs of bfloat16 emulated on AVX2, for tests.
#if defined(__x86_64__)
#include "../../simd/avx2_wide.h"
#include "leaves.inl"
#endif
