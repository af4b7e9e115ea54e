// What every bound kernel needs: element types by number, checked buffers, a workspace. Layer:
// bindings.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "../cpu/workspace.h"

namespace fastconv::bindings {

enum DType : int { FLOAT32 = 0, FLOAT64 = 1 };

// Calls f(T{}) with the element type.
template <class F>
auto with_dtype(int dtype, const F& f) {
  if (dtype == FLOAT32) return f(float{});
  if (dtype == FLOAT64) return f(double{});
  throw std::invalid_argument("dtype " + std::to_string(dtype) + " is neither FLOAT32 nor FLOAT64");
}

// The buffer at `address`, after a check that it holds as many elements as the shape asks for. A
// null address is passed on where `optional`.
template <class T>
T* buffer(const char* name, uintptr_t address, int64_t count, int64_t expected,
          bool optional = false) {
  if (optional && address == 0) return nullptr;
  if (count != expected || (address == 0 && expected != 0))
    throw std::invalid_argument(std::string(name) + " holds " +
                                std::to_string(address ? count : 0) +
                                " elements, but the shape has " + std::to_string(expected));
  if (address % alignof(T) != 0)
    throw std::invalid_argument(std::string(name) + " is not aligned to its elements");
  return reinterpret_cast<T*>(address);
}

// Asks the system for pages of 2 MiB where memory that is about to be written, all of it, has none
// yet: glibc takes large tensors from the system anew on every call, and 4 KiB at a time that costs
// more than most kernels (docs/decisions/0010). Less than LARGE_BYTES is left alone.
void prefer_huge_pages(void* data, int64_t bytes);

// A buffer that a kernel will write.
template <class T>
T* output(const char* name, uintptr_t address, int64_t count, int64_t expected,
          bool optional = false) {
  T* data = buffer<T>(name, address, count, expected, optional);
  if (data) prefer_huge_pages(data, expected * int64_t(sizeof(T)));
  return data;
}

inline void check_threads(int threads) {
  if (threads < 1)
    throw std::invalid_argument("threads must be positive, got " + std::to_string(threads));
}

struct Free {
  void operator()(void* block) const;
};
using Memory = std::unique_ptr<void, Free>;

// At least `bytes`, aligned to a cache line, and to huge pages where they fill some.
Memory allocate(int64_t bytes);

// A block of at least `bytes`, aligned to a cache line; null for 0 bytes. Up to
// KEPT_WORKSPACE_BYTES stay with the calling thread for its next call, because pages fresh from the
// system cost more than most kernels.
void* workspace(int64_t bytes);
// Gives a block above that size back.
void trim_workspace();
constexpr int64_t KEPT_WORKSPACE_BYTES = int64_t(64) << 20;

// Below this many elementary steps a kernel is done before the GIL would be handed over and back.
constexpr int64_t GIL_KEPT_STEPS = 4096;

// Lets other Python threads run while a kernel works, if that takes long enough. A backward pass
// may hold no GIL to release.
class ReleaseGil {
 public:
  explicit ReleaseGil(int64_t steps) {
    if (steps >= GIL_KEPT_STEPS && PyGILState_Check()) released.emplace();
  }

 private:
  std::optional<pybind11::gil_scoped_release> released;
};

struct TrimWorkspace {
  ~TrimWorkspace() { trim_workspace(); }
};

}  // namespace fastconv::bindings
