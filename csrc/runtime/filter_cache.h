// Keeps transformed filters between calls, for inference. They are found by the content of w, not
// by torch's version counter (docs/decisions/0007-filters-known-by-content.md). Layer: runtime.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "recent.h"

namespace fastconv::runtime {

// Safe for any number of threads. Whoever holds filters keeps them, evicted or not. Memory is given
// back when the lock is no longer held.
class FilterCache {
 public:
  using Key = std::array<int64_t, 9>;
  using Filters = std::shared_ptr<void>;

  static constexpr int64_t DEFAULT_BOUND = int64_t(256) << 20;  // VGG-16's 3x3 filters: 235 MB

  // Returns null if there are no filters for the key, or if their w had another checksum.
  Filters find(const Key& key, uint64_t checksum);
  // Replaces the filters of the same key. Evicts the least recently used ones if room is needed.
  void insert(const Key& key, uint64_t checksum, int64_t size, Filters filters);

  void clear();
  int64_t bytes();
  int64_t bound();
  // Sets the number of bytes that the cache may hold. With 0 it keeps no filters.
  void set_bound(int64_t bytes);

 private:
  struct Entry {
    uint64_t checksum = 0;
    int64_t size = 0;
    Filters filters;
  };
  struct Hash {
    size_t operator()(const Key& key) const { return hash_of(key.data(), key.size()); }
  };
  using Dropped = std::vector<Filters>;  // outlives the lock
  void drop(Entry entry, Dropped& dropped);
  void shrink(int64_t most, Dropped& dropped);

  std::mutex mutex;
  Recent<Key, Entry, Hash> entries;
  int64_t used = 0, most_bytes = DEFAULT_BOUND;
};

// The cache of the process.
FilterCache& filter_cache();

}  // namespace fastconv::runtime
