// Multiply-adds in registers alone: what the CPU computes per second at best. Compiled and called by
// roofline.py.

#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif
constexpr int CHAINS = 12;  // latency of 4-5 cycles times two multiply-adds per cycle; 12 of 16 registers

// Returns a number that depends on every operation, so that none is left out.
template <typename T>
T chains(long rounds) {
  typedef T Vec __attribute__((vector_size(BYTES)));
  Vec acc[CHAINS];
  for (int i = 0; i < CHAINS; ++i) acc[i] = Vec{} + T(i + 1);
  Vec scale = Vec{} + T(0.5), shift = Vec{} + T(1);  // acc goes to 2: no denormals, no overflow
  asm volatile("" : "+x"(scale), "+x"(shift));       // not known to the compiler
  for (long r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; ++i) acc[i] = acc[i] * scale + shift;
  Vec sum{};
  for (int i = 0; i < CHAINS; ++i) sum += acc[i];
  return sum[0];
}

extern "C" {
float run_float32(long rounds) { return chains<float>(rounds); }
double run_float64(long rounds) { return chains<double>(rounds); }
long flop_float32(void) { return 2L * CHAINS * BYTES / 4; }  // per round
long flop_float64(void) { return 2L * CHAINS * BYTES / 8; }
}
