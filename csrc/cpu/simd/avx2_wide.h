// AVX-512's shapes (16 lanes, tiles of 32 registers) compiled for AVX2, so that
// they are tested on every machine: the compiler splits each vector in two and spills much of a
// tile. Slow, never chosen by default. float alone, for double would double the time to compile
// (macros: begin.inl).
#define TARGET "avx2,fma"
#define ISA avx2_wide
#define VECTOR_BYTES 64
#define REGISTER_BYTES 32
#define REGISTERS 32
