// The leaf kernels of grouped convolution for AVX-512's shapes on AVX2.
#if defined(__x86_64__)
#include "../simd/avx2_wide.h"
#include "leaves.inl"
#endif
