// checksum = sum over chunks of the checksum of each (isa/rows.inl), seeded by its place, so that
// threads may take them in any order. Layer: cpu, driver.
#include "checksum.h"

#include <atomic>

#include "../simd/table.h"
#include "parallel.h"

namespace fastconv::cpu {

uint64_t checksum(const void* data, int64_t bytes, int threads) {
  constexpr int64_t CHUNK = int64_t(256) << 10;  // 10 us: worth waking a thread for
  const auto& k = row_kernels<float>(isa());
  const char* first = static_cast<const char*>(data);
  std::atomic<uint64_t> sum{0};
  parallel_jobs(threads, ceil_div(bytes, CHUNK), [&](int64_t chunk, int) {
    const int64_t at = chunk * CHUNK;
    const uint64_t part = k.checksum(min64(CHUNK, bytes - at), first + at, uint64_t(chunk));
    sum.fetch_add(part, std::memory_order_relaxed);
  });
  return sum;
}

}  // namespace fastconv::cpu
