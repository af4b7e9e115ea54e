// checksum = sum over blocks j of mixed(keyed_sum(block j) + j * GOLDEN), modulo 2^64, so that
// threads may take them in any order. Layer: cpu/common, driver.
//
// keyed_sum (../simd/rows.inl) is a universal hash. With random keys two different blocks have the
// same sum in at most one of 2^32 cases, which is proved. The keys here are fixed, but no program
// makes weights to fit them. The mixing is one to one, so a change of a single sum always shows. It
// scatters the sums over 64 bits, so changes of several sums cancel by chance alone. This is
// tested, not proved.
#include "checksum.h"

#include <atomic>

#include "../simd/table.h"
#include "parallel.h"

namespace fastconv::cpu {
namespace {

constexpr int64_t BLOCK = 4096;                // its keys stay in the first cache
constexpr int64_t CHUNK = int64_t(256) << 10;  // 10 us: worth waking a thread for
static_assert(CHUNK % BLOCK == 0, "no block is shared by chunks");

// SplitMix64 (Steele, Lea, Flood 2014): the step between states, and the number of a state.
constexpr uint64_t GOLDEN = 0x9E3779B97F4A7C15;
constexpr uint64_t mixed(uint64_t state) {
  state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
  state = (state ^ (state >> 27)) * 0x94D049BB133111EB;
  return state ^ (state >> 31);
}

struct Keys {
  alignas(CACHE_LINE) uint64_t of[BLOCK / sizeof(uint64_t)] = {};
  constexpr Keys() {
    uint64_t state = 0;
    for (uint64_t& key : of) key = mixed(state += GOLDEN);
  }
};
constexpr Keys KEYS;

}  // namespace

uint64_t checksum(const void* data, int64_t bytes, int threads) {
  const auto& k = row_kernels<float>(isa());
  const char* first = static_cast<const char*>(data);
  const auto* keys = reinterpret_cast<const char*>(KEYS.of);
  std::atomic<uint64_t> sum{0};
  parallel_jobs(threads, ceil_div(bytes, CHUNK), [&](int64_t chunk, int) {
    const int64_t end = min64((chunk + 1) * CHUNK, bytes);
    uint64_t part = 0;
    for (int64_t at = chunk * CHUNK; at < end; at += BLOCK)
      part += mixed(k.keyed_sum(min64(BLOCK, end - at), first + at, keys) +
                    static_cast<uint64_t>(at / BLOCK) * GOLDEN);
    sum.fetch_add(part, std::memory_order_relaxed);
  });
  return sum;
}

}  // namespace fastconv::cpu
