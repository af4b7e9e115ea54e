// The filter cache (filter_cache.h). Evicts the least recently used filters first. Layer: runtime.
#include "filter_cache.h"

#include <utility>

namespace fastconv::runtime {

using Lock = std::lock_guard<std::mutex>;

FilterCache::Filters FilterCache::find(const Key& key, uint64_t checksum) {
  const Lock lock(mutex);
  const Entry* found = entries.find(key);
  return found && found->checksum == checksum ? found->filters : nullptr;
}

void FilterCache::insert(const Key& key, uint64_t checksum, int64_t size, Filters filters) {
  Dropped dropped;
  const Lock lock(mutex);
  if (size > most_bytes) return;
  drop(entries.take(key), dropped);
  shrink(most_bytes - size, dropped);
  entries.add(key, {checksum, size, std::move(filters)});
  used += size;
}

void FilterCache::clear() {
  Dropped dropped;
  const Lock lock(mutex);
  shrink(0, dropped);
}

int64_t FilterCache::bytes() {
  const Lock lock(mutex);
  return used;
}

int64_t FilterCache::bound() {
  const Lock lock(mutex);
  return most_bytes;
}

void FilterCache::set_bound(int64_t bytes) {
  Dropped dropped;
  const Lock lock(mutex);
  most_bytes = bytes;
  shrink(most_bytes, dropped);
}

void FilterCache::drop(Entry entry, Dropped& dropped) {
  used -= entry.size;
  dropped.push_back(std::move(entry.filters));
}

void FilterCache::shrink(int64_t most, Dropped& dropped) {
  while (entries.size() > 0 && used > most) drop(entries.take_oldest(), dropped);
}

FilterCache& filter_cache() {
  static auto& cache = *new FilterCache;
  return cache;
}

}  // namespace fastconv::runtime
