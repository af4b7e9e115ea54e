// A table that drops the least recently used value. It destroys no value itself, because releasing
// a Python object may run any code, in this thread and in others. The caller gets each value that
// leaves the table, and releases it when the table is whole again and no lock is held. Layer:
// runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

namespace fastconv::runtime {

inline size_t hash_of(const int64_t* words, size_t count) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a, a word at a time
  for (size_t i = 0; i < count; ++i) {
    hash = (hash ^ static_cast<uint64_t>(words[i])) * 1099511628211u;
    hash ^= hash >> 32;
  }
  return hash;
}

// For one thread at a time.
template <class Key, class Value, class Hash>
class Recent {
 public:
  size_t size() const { return entries.size(); }

  // The value, used now; null if there is none.
  Value* find(const Key& key) {
    const auto found = entries.find(key);
    if (found == entries.end()) return nullptr;
    if (found->second.place != order.begin())
      order.splice(order.begin(), order, found->second.place);
    return &found->second.value;
  }

  // Of a key that has no value yet.
  void add(const Key& key, Value value) {
    std::list<const Key*> first(1);
    const auto at = entries.emplace(key, Entry{std::move(value), first.begin()}).first;
    first.front() = &at->first;
    order.splice(order.begin(), first);
  }

  // Out of the table; an empty value if there is none.
  Value take(const Key& key) {
    const auto found = entries.find(key);
    if (found == entries.end()) return Value();
    Value value = std::move(found->second.value);
    order.erase(found->second.place);
    entries.erase(found);
    return value;
  }
  // Of a table that is not empty.
  Value take_oldest() { return take(*order.back()); }

 private:
  using Order = std::list<const Key*>;
  struct Entry {
    Value value;
    typename Order::iterator place;
  };
  Order order;  // the most recently used first; the keys are those of `entries`
  std::unordered_map<Key, Entry, Hash> entries;
};

}  // namespace fastconv::runtime
