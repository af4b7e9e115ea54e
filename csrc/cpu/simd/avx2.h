// The macros of begin.inl for AVX2 with FMA.
#define TARGET "avx2,fma,f16c"
#define ISA avx2
#define VECTOR_BYTES 32
#define REGISTER_BYTES 32
#define REGISTERS 16
