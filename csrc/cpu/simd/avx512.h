// The macros of begin.inl for AVX-512 (F, BW, DQ, VL).
#define TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"
#define ISA avx512
#define VECTOR_BYTES 64
#define REGISTER_BYTES 64
#define REGISTERS 32
