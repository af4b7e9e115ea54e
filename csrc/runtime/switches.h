// Paths of conv2d that are disabled (fastconv.flags). Layer: runtime.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace fastconv::runtime {

// The names of disabled paths. Any number of threads may call it. While no path is disabled, `has`
// takes no lock.
class DisabledPaths {
 public:
  bool has(const char* name) {
    if (count.load(std::memory_order_acquire) == 0) return false;
    const std::lock_guard<std::mutex> guard(lock);
    return names.count(name) != 0;
  }
  void set(std::set<std::string> all) {
    const std::lock_guard<std::mutex> guard(lock);
    names = std::move(all);
    count.store(static_cast<int>(names.size()), std::memory_order_release);
    version_number.fetch_add(1, std::memory_order_release);
  }
  // Changes with every `set`.
  uint64_t version() const { return version_number.load(std::memory_order_acquire); }

 private:
  std::atomic<int> count{0};
  std::atomic<uint64_t> version_number{0};
  std::mutex lock;
  std::set<std::string> names;
};

inline DisabledPaths& disabled_paths() {
  static auto& paths = *new DisabledPaths;
  return paths;
}

}  // namespace fastconv::runtime
