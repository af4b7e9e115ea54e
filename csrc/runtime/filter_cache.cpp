// The filter cache (filter_cache.h). Evicts the least recently used filters first. Layer: runtime.
#include "filter_cache.h"

#include <utility>

namespace fastconv::runtime {

using Lock = std::lock_guard<std::mutex>;

FilterCache::Filters FilterCache::find(const Key& key, uint64_t checksum) {
  const Lock lock(mutex);
  const auto found = by_key.find(key);
  if (found == by_key.end() || found->second->checksum != checksum) return nullptr;
  entries.splice(entries.begin(), entries, found->second);
  return entries.front().filters;
}

void FilterCache::insert(const Key& key, uint64_t checksum, int64_t size, Filters filters) {
  const Lock lock(mutex);
  const auto found = by_key.find(key);
  if (found != by_key.end()) remove(found->second);
  if (size > most_bytes) return;
  shrink(most_bytes - size);
  entries.push_front({key, checksum, size, std::move(filters)});
  by_key[key] = entries.begin();
  used += size;
}

void FilterCache::clear() {
  const Lock lock(mutex);
  shrink(0);
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
  const Lock lock(mutex);
  most_bytes = bytes;
  shrink(most_bytes);
}

void FilterCache::remove(std::list<Entry>::iterator entry) {
  used -= entry->size;
  by_key.erase(entry->key);
  entries.erase(entry);
}

void FilterCache::shrink(int64_t most) {
  while (!entries.empty() && used > most) remove(std::prev(entries.end()));
}

FilterCache& filter_cache() {
  static auto& cache = *new FilterCache;
  return cache;
}

}  // namespace fastconv::runtime
