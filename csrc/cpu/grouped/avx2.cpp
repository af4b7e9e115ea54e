// The leaf kernels of grouped convolution for AVX2.
#if defined(__x86_64__)
#include "../simd/avx2.h"
#include "leaves.inl"
#endif
