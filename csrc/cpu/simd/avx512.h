// AVX-512 (F, BW, DQ, VL) (macros: begin.inl).
#define TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#define ISA avx512
#define VECTOR_BYTES 64
#define REGISTER_BYTES 64
#define REGISTERS 32
