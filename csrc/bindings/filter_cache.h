// Transformed filters of earlier calls, for inference. Why the content of w is compared, and not
// torch's version counter: docs/decisions/0007-filters-known-by-content.md. Layer: bindings.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "recent.h"

namespace fastconv::bindings {

// Safe for any number of threads. Whoever holds filters keeps them, evicted or not. Memory is given
// back when the lock is no longer held.
class FilterCache {
 public:
  using Key = std::array<int64_t, 9>;
  using Filters = std::shared_ptr<void>;

  static constexpr int64_t DEFAULT_BOUND = int64_t(256) << 20;  // VGG-16's 3x3 filters: 235 MB

  // Null if there are none, or of another content.
  Filters find(const Key& key, uint64_t checksum);
  // In place of those with the same key. The least recently used go, if need be.
  void insert(const Key& key, uint64_t checksum, int64_t size, Filters filters);

  void clear();
  int64_t bytes();
  int64_t bound();
  // Filters that are larger are not kept; with 0 none are.
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

// That of the process.
FilterCache& filter_cache();

}  // namespace fastconv::bindings
