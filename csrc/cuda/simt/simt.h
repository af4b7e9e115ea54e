// SIMT shim: executes CUDA kernels, compiled by g++, on the CPU, and checks every access to memory.
// For tests only; docs/simt.md describes it. This is the part that a kernel's source sees.
//
// Each thread of a block is a fiber. One fiber runs at a time, until a barrier or a warp operation.
#pragma once

#include <cstdint>
#include <functional>

namespace simt {

struct Dim {
  unsigned x, y, z;
  constexpr Dim(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  int64_t count() const { return int64_t(x) * y * z; }
};

// Limits of a launch: those of every device from sm_75 on.
constexpr int64_t MAX_BLOCK = 1024, MAX_GRID_X = 2147483647, MAX_GRID_YZ = 65535;
constexpr int64_t MAX_STATIC_SHARED = 48 * 1024;
constexpr int WARP = 32;

// Where a barrier or warp operation stands in a kernel's source.
struct Place {
  const char* file;
  int line;
  static Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
  bool operator==(const Place& other) const { return line == other.line && file == other.file; }
};

// Of the thread that runs.
const Dim& thread_index();
const Dim& block_index();
const Dim& block_extents();
const Dim& grid_extents();
int lane();

// Runs body once for each thread of each block. Returns cudaSuccess (0), cudaErrorInvalidConfiguration
// (9) if the launch breaks a limit, or cudaErrorLaunchFailure (719) if a check ended the kernel.
int launch(const char* kernel, Dim grid, Dim block, const std::function<void()>& body);
// Records an error if the block is larger than what the kernel was compiled for.
void expect_block(int64_t threads, Place place);

void barrier(Place place);  // __syncthreads
// All lanes of the mask meet; `combine` then runs once with what each lane gave.
using Combine = void (*)(void* const given[WARP], const void* about);
void warp_meeting(unsigned mask, void* given, Combine combine, const void* about, Place place);

// A static shared array, the same for all threads of the block. granule: bytes of its elements.
void* shared_array(const char* name, int64_t bytes, int64_t granule, Place place);
// Copies 1 to 16 bytes as one aligned access of the thread.
void copy(void* to, const void* from, int bytes);
// cp.async: `to` in shared memory holds the bytes (zeros if !wanted) after `async_wait`.
void async_copy(void* to, const void* from, int bytes, bool wanted);
void async_commit();
void async_wait(int groups_left);

template <class Array, class Element>
Array& shared(const char* name, Place place) {
  return *static_cast<Array*>(shared_array(name, sizeof(Array), sizeof(Element), place));
}

template <class T>
T shuffle(unsigned mask, T value, int from, Place place) {
  struct Slot {
    T value, result;
    int from;
  } slot{value, value, from};
  warp_meeting(
      mask, &slot,
      [](void* const given[WARP], const void*) {
        for (int i = 0; i < WARP; ++i) {
          if (!given[i]) continue;
          Slot& me = *static_cast<Slot*>(given[i]);
          if (auto* other = static_cast<Slot*>(given[me.from & 31])) me.result = other->value;
        }
      },
      nullptr, place);
  return slot.result;
}

}  // namespace simt

// What a test calls, also through ctypes.
extern "C" {
// Device memory with guards at both ends, at `offset` bytes behind a multiple of 4096. It starts
// uninitialised, unless simt_initialise says that a host has written it.
void* simt_allocate(const char* name, int64_t bytes, int64_t granule, int64_t offset);
void simt_initialise(void* memory);
int64_t simt_unwritten(const void* memory);  // elements that nobody has written
const char* simt_errors();                   // one error a line; empty: none
void simt_reset();                           // frees all memory, forgets errors and counters
void simt_set_schedule(unsigned seed);       // 0: ascending, 1: descending, else shuffled
void simt_set_counting(int on);
// launches, requests to global memory, their sectors, ideal sectors, bytes that blocks read and
// wrote (32 for each sector that a block touches), shared requests, their wavefronts, ideal ones
void simt_counters(int64_t counters[10]);
}
