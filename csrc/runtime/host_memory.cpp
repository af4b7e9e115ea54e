// Implements host_memory.h with aligned_alloc and madvise. Layer: runtime.
#include "host_memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

#include "../core/shape.h"

namespace fastconv::runtime {
namespace {

constexpr int64_t CACHE_LINE = 64;
constexpr int64_t HUGE_PAGE = int64_t(2) << 20, LARGE_BYTES = int64_t(4) << 20;

struct Block {
  Memory memory;
  int64_t bytes = 0;
};
thread_local Block kept;

}  // namespace

void Free::operator()(void* block) const { std::free(block); }

void prefer_huge_pages(void* data, int64_t bytes) {
  if (bytes < LARGE_BYTES) return;
  const auto begin = reinterpret_cast<int64_t>(data);
  const int64_t first = round_up(begin, HUGE_PAGE);
  const int64_t whole = (begin + bytes - first) / HUGE_PAGE * HUGE_PAGE;
  // The system may ignore this advice, so its result is not checked.
  madvise(reinterpret_cast<void*>(first), static_cast<size_t>(whole), MADV_HUGEPAGE);
}

Memory allocate(int64_t bytes) {
  const int64_t alignment = bytes < LARGE_BYTES ? CACHE_LINE : HUGE_PAGE;
  Memory memory(std::aligned_alloc(alignment, round_up(bytes, alignment)));
  if (!memory) throw std::bad_alloc();
  prefer_huge_pages(memory.get(), bytes);
  return memory;
}

void* workspace(int64_t bytes) {
  if (bytes < 0) throw std::bad_alloc();
  if (bytes <= kept.bytes) return bytes ? kept.memory.get() : nullptr;
  kept.memory.reset();
  kept.bytes = 0;
  kept.memory = allocate(bytes);
  kept.bytes = bytes;
  return kept.memory.get();
}

TrimWorkspace::~TrimWorkspace() {
  if (kept.bytes <= KEPT_WORKSPACE_BYTES) return;
  kept.memory.reset();
  kept.bytes = 0;
}

}  // namespace fastconv::runtime
