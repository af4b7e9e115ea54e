// Memory of the host: aligned blocks, a workspace for each calling thread, huge pages. Layer:
// runtime.
#pragma once

#include <cstdint>
#include <memory>

namespace fastconv::runtime {

struct Free {
  void operator()(void* block) const;
};
using Memory = std::unique_ptr<void, Free>;

// Allocates at least `bytes`, aligned to a cache line, and to a huge page from 4 MiB on. Throws
// std::bad_alloc.
Memory allocate(int64_t bytes);

// Asks the system for pages of 2 MiB for memory that is about to be written completely. glibc takes
// large tensors from the system anew on every call, and page faults for 4 KiB each take longer than
// most kernels (docs/decisions/0010). Below 4 MiB it does nothing.
void prefer_huge_pages(void* data, int64_t bytes);

// Returns the calling thread's block of at least `bytes`, aligned to a cache line; null for 0
// bytes. The next call of workspace() may free this block.
void* workspace(int64_t bytes);

// A thread keeps a block of up to this many bytes for its next call, because fresh pages from the
// system cost more than most kernels. The destructor of TrimWorkspace frees a larger block.
constexpr int64_t KEPT_WORKSPACE_BYTES = int64_t(64) << 20;
struct TrimWorkspace {
  ~TrimWorkspace();
};

}  // namespace fastconv::runtime
