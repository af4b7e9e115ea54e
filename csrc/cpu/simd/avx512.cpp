// The leaf kernels of rows for AVX-512.
#if defined(__x86_64__)
#include "avx512.h"
#include "leaves.inl"
#endif
