// The leaf kernels of rows for AVX2.
#if defined(__x86_64__)
#include "avx2.h"
#include "leaves.inl"
#endif
