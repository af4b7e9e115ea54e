// Memory of the SIMT shim: allocations with guards, and the history of each element. Layer: cuda/simt.
//
// One region of addresses holds shared memory of the block that runs, then global memory. Any
// other address belongs to the host or to a fiber's stack.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "state.h"

namespace simt {
namespace {

constexpr int64_t REGION = int64_t(4) << 30;  // of addresses; memory is taken when it is touched
constexpr int64_t SHARED = 1 << 20, SHARED_GUARD = 256, PAGE = 4096;
constexpr int64_t GUARD_PAGES = 16;  // between two allocations of global memory
constexpr int64_t NULL_PAGE = 65536;

uintptr_t make_region() {
  void* at = mmap(nullptr, REGION, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? 0 : reinterpret_cast<uintptr_t>(at);
}
const uintptr_t region = make_region();
int64_t shared_used = SHARED_GUARD, global_used = SHARED + GUARD_PAGES * PAGE;
std::vector<std::unique_ptr<Allocation>> shared_arrays, allocations;
std::vector<Allocation*> pages(REGION / PAGE);

std::string describe(const Allocation& a, uintptr_t address) {
  const int64_t offset = int64_t(address - a.begin);
  return (a.is_shared ? "shared " : "global ") + a.name + "[" +
         std::to_string(offset >= 0 ? offset / a.granule : (offset - a.granule + 1) / a.granule) +
         "] of " + std::to_string(a.bytes / a.granule);
}

const Allocation* nearest(uintptr_t address) {
  const bool is_shared = address - region < uintptr_t(SHARED);
  const Allocation* best = nullptr;
  uintptr_t closest = ~uintptr_t(0);
  for (const auto& a : is_shared ? shared_arrays : allocations) {
    const uintptr_t end = a->begin + a->bytes;
    const uintptr_t distance = address < a->begin ? a->begin - address : address - end;
    if (distance < closest) closest = distance, best = a.get();
  }
  return best;
}

bool conflicts(const Access& before, const Access& now) {
  if (before.block < 0) return false;
  if (before.block != now.block) return true;
  if (before.thread == now.thread || before.epoch != now.epoch) return false;
  return before.thread / WARP != now.thread / WARP || before.warp_epoch == now.warp_epoch;
}

void race(const Allocation& a, uintptr_t address, const Access& before, const Access& now,
          const char* kinds, void* pc) {
  const bool blocks = before.block != now.block;
  report(
      blocks ? "race between blocks" : "race",
      std::string(kinds) + " of " + describe(a, address) + " by " +
          (blocks ? "blocks " + std::to_string(before.block) + " and " + std::to_string(now.block)
                  : "threads " + std::to_string(before.thread) + " and " +
                        std::to_string(now.thread) + " without a barrier between"),
      pc);
}

void check_cell(Allocation& a, int64_t i, bool write, const Access& now, void* pc) {
  Cell& c = a.cells[i];
  const uintptr_t address = a.begin + i * a.granule;
  if (c.launch != block.launch) {
    c.launch = block.launch;
    c.writer = c.reader = c.other = Access();
    c.first_block = -1, c.many_blocks = false;
  }
  if (c.pending) {
    report("unwaited cp.async",
           std::string(write ? "write to " : "read of ") + describe(a, address) +
               " before the asynchronous copy to it was waited for",
           pc);
    c.pending = false, c.initialised = true;
  }
  if (!write && !c.initialised) {
    report("uninitialised read", "read of " + describe(a, address) + ", which nobody has written",
           pc);
    c.initialised = true;
  }
  if (conflicts(c.writer, now))
    race(a, address, c.writer, now, write ? "writes" : "write and read", pc);
  if (!write) {
    if (c.first_block < 0)
      c.first_block = now.block;
    else if (c.first_block != now.block)
      c.many_blocks = true;
    if (c.reader.block != now.block || c.reader.epoch != now.epoch) {
      c.reader = now, c.other = Access();
    } else if (c.reader.thread != now.thread) {
      if (c.other.block < 0 || c.other.thread / WARP == c.reader.thread / WARP) c.other = now;
    } else {
      c.reader = now;
    }
    return;
  }
  if (c.many_blocks || (c.first_block >= 0 && c.first_block != now.block)) {
    Access reader = c.reader;
    if (reader.block == now.block)
      reader.block = c.many_blocks && c.first_block == now.block ? -2 : c.first_block;
    race(a, address, reader, now, "read and write", pc);
  } else if (conflicts(c.reader, now)) {
    race(a, address, c.reader, now, "read and write", pc);
  } else if (conflicts(c.other, now)) {
    race(a, address, c.other, now, "read and write", pc);
  }
  c.writer = now;
  c.initialised = true;
}

}  // namespace

Allocation* find(uintptr_t address) {
  if (address - region >= uintptr_t(SHARED)) return pages[(address - region) / PAGE];
  for (const auto& a : shared_arrays)
    if (address - a->begin < uintptr_t(a->bytes)) return a.get();
  return nullptr;
}

void touch(const void* pointer, int size, bool write, void* pc) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  if (address - region >= uintptr_t(REGION)) {
    if (address >= NULL_PAGE || !block.current) return;
    report("null pointer", std::string(write ? "write" : "read") + " through a null pointer", pc);
    end_kernel();
  }
  if (!block.current) return;
  Allocation* a = find(address);
  if (!a || address < a->begin || address + size > a->begin + a->bytes) {
    const Allocation* near = a ? a : nearest(address);
    const bool is_shared = address - region < uintptr_t(SHARED);
    report(is_shared ? "shared overrun" : "global overrun",
           std::string(write ? "write of " : "read of ") + std::to_string(size) + " bytes at " +
               (near ? describe(*near, address) : std::string("an address of nobody")) +
               " elements",
           pc);
    end_kernel();
  }
  if (address % size != 0) {
    report("misaligned access",
           std::to_string(size) + " bytes at " + describe(*a, address) +
               ", which is no multiple of " + std::to_string(size) + " bytes",
           pc);
    end_kernel();
  }
  const Thread& t = *block.current;
  const Access now{block.number, t.linear, block.epoch, block.warp_epochs[t.warp]};
  const int64_t first = int64_t(address - a->begin) / a->granule;
  const int64_t last = int64_t(address - a->begin + size - 1) / a->granule;
  for (int64_t i = first; i <= last; ++i) check_cell(*a, i, write, now, pc);
  if (counting) count_access(*a, address, size, write, pc);
}

void begin_block_memory() {
  std::memset(reinterpret_cast<void*>(region), 0xff, shared_used);  // NaNs
  shared_arrays.clear();
  shared_used = SHARED_GUARD;
}

void end_block_memory() {
  int64_t bytes = 0;
  for (const auto& a : shared_arrays) bytes += a->bytes;
  if (bytes > MAX_STATIC_SHARED)
    report("shared memory limit",
           std::to_string(bytes) + " bytes of static shared memory, " +
               std::to_string(MAX_STATIC_SHARED) + " are allowed",
           Place{block.kernel, 0});
  if (counting) count_flush(true);
}

void* shared_array(const char* name, int64_t bytes, int64_t granule, Place place) {
  const std::string key = std::string(name) + "@" + std::to_string(place.line);
  for (const auto& a : shared_arrays)
    if (a->name == key) return reinterpret_cast<void*>(a->begin);
  if (shared_used + bytes + 2 * SHARED_GUARD > SHARED) {
    report("shared memory limit", key + " does not fit at all", place);
    end_kernel();
  }
  auto a = std::make_unique<Allocation>(
      Allocation{key, region + shared_used, bytes, granule,
                 std::vector<Cell>((bytes + granule - 1) / granule), true});
  std::memset(reinterpret_cast<void*>(a->begin), 0xff, bytes);
  shared_used = (shared_used + bytes + SHARED_GUARD + 127) / 128 * 128;
  shared_arrays.push_back(std::move(a));
  return reinterpret_cast<void*>(shared_arrays.back()->begin);
}

__attribute__((noinline)) void copy(void* to, const void* from, int bytes) {
  touch(from, bytes, false, __builtin_return_address(0));
  touch(to, bytes, true, __builtin_return_address(0));
  std::memcpy(to, from, bytes);
}

__attribute__((noinline)) void async_copy(void* to, const void* from, int bytes, bool wanted) {
  void* pc = __builtin_return_address(0);
  Thread& me = *block.current;
  PendingCopy c{reinterpret_cast<uintptr_t>(to), bytes, me.group, {}};
  if (wanted) {
    touch(from, bytes, false, pc);
    std::memcpy(c.data, from, bytes);
  }
  touch(to, bytes, true, pc);
  std::memset(to, 0xff, bytes);
  Allocation* a = find(c.to);
  if (!a || !a->is_shared) {
    report("misaligned access", "an asynchronous copy must go to shared memory", pc);
    end_kernel();
  }
  for (int64_t i = 0; i < bytes; i += a->granule)
    a->cells[(c.to - a->begin + i) / a->granule].pending = true;
  me.copies.push_back(c);
}

void async_commit() { ++block.current->group; }

__attribute__((noinline)) void async_wait(int groups_left) {
  Thread& me = *block.current;
  const int done = me.group - groups_left;  // groups below this number
  const auto left = std::remove_if(me.copies.begin(), me.copies.end(), [&](const PendingCopy& c) {
    if (c.group >= done) return false;
    Allocation* a = find(c.to);
    for (int64_t i = 0; i < c.bytes; i += a->granule)
      a->cells[(c.to - a->begin + i) / a->granule].pending = false;
    std::memcpy(reinterpret_cast<void*>(c.to), c.data, c.bytes);
    touch(reinterpret_cast<void*>(c.to), c.bytes, true, __builtin_return_address(0));
    return true;
  });
  me.copies.erase(left, me.copies.end());
}

void free_memory() {
  shared_arrays.clear();
  allocations.clear();
  std::fill(pages.begin(), pages.begin() + global_used / PAGE + 1, nullptr);
  madvise(reinterpret_cast<void*>(region), global_used, MADV_DONTNEED);
  global_used = SHARED + GUARD_PAGES * PAGE;
}

}  // namespace simt

void* simt_allocate(const char* name, int64_t bytes, int64_t granule, int64_t offset) {
  using namespace simt;
  const int64_t taken = (offset + std::max<int64_t>(bytes, 1) + PAGE - 1) / PAGE * PAGE;
  if (!region || global_used + taken + GUARD_PAGES * PAGE > REGION) return nullptr;
  auto a = std::make_unique<Allocation>(
      Allocation{name, region + global_used + offset, bytes, granule, {}, false});
  a->cells.resize((bytes + granule - 1) / granule);
  for (int64_t i = 0; i < taken / PAGE; ++i) pages[global_used / PAGE + i] = a.get();
  std::memset(reinterpret_cast<void*>(a->begin), 0xff, bytes);
  global_used += taken + GUARD_PAGES * PAGE;
  allocations.push_back(std::move(a));
  return reinterpret_cast<void*>(allocations.back()->begin);
}

void simt_initialise(void* memory) {
  for (simt::Cell& c : simt::find(reinterpret_cast<uintptr_t>(memory))->cells) c.initialised = true;
}

int64_t simt_unwritten(const void* memory) {
  const auto& cells = simt::find(reinterpret_cast<uintptr_t>(memory))->cells;
  return std::count_if(cells.begin(), cells.end(), [](const auto& c) { return !c.initialised; });
}
