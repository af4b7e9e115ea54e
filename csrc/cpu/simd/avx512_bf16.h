// The macros of begin.inl for AVX-512 with products of pairs of bfloat16 (AVX512_BF16). Only the leaf
// kernels of cpu/gemm/pairs are compiled for it; all others are those of avx512.h.
#define TARGET "avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"
#define ISA avx512_bf16
#define VECTOR_BYTES 64
#define REGISTER_BYTES 64
#define REGISTERS 32
#define BFLOAT16_PRODUCTS
