// The leaf kernels for AVX2 with FMA.
#if defined(__x86_64__)
#define TARGET "avx2,fma"
#define ISA avx2
#define VECTOR_BYTES 32
#define REGISTER_BYTES 32
#define REGISTERS 16

#include "kernels.inl"
#endif
