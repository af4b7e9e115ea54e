// Memory of the host: aligned blocks, one workspace for each calling thread, and huge pages. Layer:
// runtime.
#pragma once

#include <cstdint>
#include <memory>

namespace fastconv::runtime {

struct Free {
  void operator()(void* block) const;
};
using Memory = std::unique_ptr<void, Free>;

// At least `bytes`, aligned to a cache line, and to huge pages where they fill some. Throws
// std::bad_alloc.
Memory allocate(int64_t bytes);

// Asks the system for pages of 2 MiB where memory that is about to be written, all of it, has none
// yet: glibc takes large tensors from the system anew on every call, and 4 KiB at a time that costs
// more than most kernels (docs/decisions/0010). Less than 4 MiB is left alone.
void prefer_huge_pages(void* data, int64_t bytes);

// The calling thread's block of at least `bytes`, aligned to a cache line; null for 0 bytes. A call
// of workspace() ends the life of the block before it.
void* workspace(int64_t bytes);

// Up to this many bytes stay with the thread for its next call, because pages fresh from the system
// cost more than most kernels; a larger block is given back at the end of a TrimWorkspace.
constexpr int64_t KEPT_WORKSPACE_BYTES = int64_t(64) << 20;
struct TrimWorkspace {
  ~TrimWorkspace();
};

}  // namespace fastconv::runtime
