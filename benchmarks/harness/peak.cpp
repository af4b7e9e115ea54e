// Multiply-adds in registers alone: what the CPU computes per second at best; and how long two
// threads take to answer each other. Compiled and called by roofline.py.

#include <atomic>
#include <chrono>
#include <thread>

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

// Seconds from a store of one thread until another has seen it; more than a microsecond where the
// system lets them take turns on one CPU.
double answer() {
  constexpr int ENOUGH = 2000, FIRST = 100;
  alignas(128) std::atomic<int> said{0};  // even: this thread's turn; -1: done
  std::thread other([&] {
    for (int last = 0; last >= 0; last = said.load(std::memory_order_acquire))
      if (last % 2 == 1) said.store(last + 1, std::memory_order_release);
  });
  using Clock = std::chrono::steady_clock;
  const auto limit = Clock::now() + std::chrono::milliseconds(50);
  auto start = Clock::now();
  int turn = 0;
  for (; turn < 2 * ENOUGH && Clock::now() < limit; turn += 2) {
    if (turn == 2 * FIRST) start = Clock::now();  // by then the other one runs
    said.store(turn + 1, std::memory_order_release);
    while (said.load(std::memory_order_acquire) != turn + 2 && Clock::now() < limit) {
    }
  }
  const std::chrono::duration<double> taken = Clock::now() - start;
  said.store(-1, std::memory_order_release);
  other.join();
  return taken.count() / (turn > 2 * FIRST ? turn - 2 * FIRST : 1);
}

extern "C" {
double answer_seconds(void) { return answer(); }
float run_float32(long rounds) { return chains<float>(rounds); }
double run_float64(long rounds) { return chains<double>(rounds); }
long flop_float32(void) { return 2L * CHAINS * BYTES / 4; }  // per round
long flop_float64(void) { return 2L * CHAINS * BYTES / 8; }
}
