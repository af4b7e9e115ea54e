// The leaf kernels of grouped convolution for AVX-512.
#if defined(__x86_64__)
#include "../simd/avx512.h"
#include "leaves.inl"
#endif
