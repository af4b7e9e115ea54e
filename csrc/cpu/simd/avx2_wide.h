// The macros of begin.inl for avx2_wide: AVX-512's shapes (16 lanes, tiles of 32 registers)
// compiled for AVX2, so that every machine tests them. The compiler splits each vector in two and
// spills much of a tile. It is slow and never chosen by default. It has float alone, to halve the
// compile time.
#define TARGET "avx2,fma,f16c"
#define ISA avx2_wide
#define VECTOR_BYTES 64
#define REGISTER_BYTES 32
#define REGISTERS 32
// Compiles in half the time of -O3. (Multiply-adds are fused by an "expensive" optimization.)
#define OPTIMIZE "O1", "expensive-optimizations"
