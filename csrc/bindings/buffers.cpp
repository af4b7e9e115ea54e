// Aligned memory, and the workspace of each calling thread. Layer: bindings.
#include "buffers.h"

#include <cstdlib>
#include <new>

namespace fastconv::bindings {
namespace {

struct Block {
  Memory memory;
  int64_t bytes = 0;
};
thread_local Block kept;

}  // namespace

void Free::operator()(void* block) const { std::free(block); }

Memory allocate(int64_t bytes) {
  Memory memory(std::aligned_alloc(cpu::CACHE_LINE, round_up(bytes, cpu::CACHE_LINE)));
  if (!memory) throw std::bad_alloc();
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

void trim_workspace() {
  if (kept.bytes <= KEPT_WORKSPACE_BYTES) return;
  kept.memory.reset();
  kept.bytes = 0;
}

}  // namespace fastconv::bindings
