// Paths of conv2d that are disabled (fastconv.flags). Layer: runtime.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>

namespace fastconv::runtime {

// By name, each as often as it was disabled: blocks of several threads may overlap, and a path is
// back when the last of them has ended. Safe for any number of threads; the count spares ordinary
// calls the lock.
class DisabledPaths {
 public:
  bool has(const char* name) {
    if (names_count.load(std::memory_order_acquire) == 0) return false;
    const std::lock_guard<std::mutex> guard(lock);
    return names.count(name) != 0;
  }
  void disable(const std::string& name) {
    const std::lock_guard<std::mutex> guard(lock);
    ++names[name];
    names_count.store(static_cast<int>(names.size()), std::memory_order_release);
  }
  // The inverse of one disable().
  void enable(const std::string& name) {
    const std::lock_guard<std::mutex> guard(lock);
    const auto found = names.find(name);
    if (found == names.end()) return;
    if (--found->second == 0) names.erase(found);
    names_count.store(static_cast<int>(names.size()), std::memory_order_release);
  }

 private:
  std::atomic<int> names_count{0};
  std::mutex lock;
  std::map<std::string, int> names;
};

inline DisabledPaths& disabled_paths() {
  static auto& paths = *new DisabledPaths;
  return paths;
}

}  // namespace fastconv::runtime
