// A workspace is one block of bytes that the caller allocates. Drivers carve it into aligned
// arrays. With a null base, carving only counts bytes, so the size query and the run share their
// code. Layer: cpu.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../../core/shape.h"

namespace fastconv::cpu {

constexpr int64_t CACHE_LINE = 64;

class Workspace {
 public:
  explicit Workspace(void* base) : base_address(static_cast<char*>(base)) {}

  template <class T>
  T* take(int64_t count) {
    const int64_t at = used;
    used += round_up(count * static_cast<int64_t>(sizeof(T)), CACHE_LINE);
    return base_address ? reinterpret_cast<T*>(base_address + at) : nullptr;
  }
  int64_t bytes() const { return used; }

 private:
  char* base_address;
  int64_t used = 0;
};

}  // namespace fastconv::cpu
