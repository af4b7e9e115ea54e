// Paths of conv2d that are switched off (fastconv.flags). Layer: bindings.
#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <string>

namespace fastconv::bindings {

// By name. Backward passes ask without the GIL, hence the lock; the count spares ordinary calls of
// it.
struct SwitchedOff {
  std::atomic<int> count{0};
  std::mutex lock;
  std::set<std::string> names;

  bool has(const std::string& name) {
    if (count.load(std::memory_order_acquire) == 0) return false;
    const std::lock_guard<std::mutex> guard(lock);
    return names.count(name) != 0;
  }
  void set(const std::string& name, bool off) {
    const std::lock_guard<std::mutex> guard(lock);
    if (off)
      names.insert(name);
    else
      names.erase(name);
    count.store(static_cast<int>(names.size()), std::memory_order_release);
  }
};

inline SwitchedOff& switched_off() {
  static auto& paths = *new SwitchedOff;
  return paths;
}

}  // namespace fastconv::bindings
