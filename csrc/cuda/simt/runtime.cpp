// Fibers, launches, barriers and warp operations of the SIMT shim. Layer: cuda/simt.
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "state.h"

namespace simt {

Block block;

namespace {

constexpr int64_t STACK =
    128 * 1024;  // bytes of a fiber; thread-local arrays of kernels live there

unsigned seed = 0;
uint32_t launches = 0;
std::vector<void*> stacks;
const std::function<void()>* body = nullptr;

#if defined(__x86_64__)
// Saves the callee-saved registers and the stack pointer at *from, and goes on at `to`.
extern "C" void simt_switch(void** from, void* to);
asm(R"(.text
.globl simt_switch
.hidden simt_switch
simt_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
)");
void* scheduler = nullptr;
void to_scheduler() { simt_switch(&block.current->stack, scheduler); }
void to_thread(Thread& t) { simt_switch(&scheduler, t.stack); }
void entry();
void prepare(Thread& t, void* stack) {
  void** top = reinterpret_cast<void**>(static_cast<char*>(stack) + STACK) - 3;
  *top =
      nullptr;  // where entry would return to: it does not. 8 beyond a multiple of 16, as after a call
  *--top = reinterpret_cast<void*>(&entry);
  t.stack = top - 6;
  std::fill(top - 6, top, nullptr);
}
#else
ucontext_t scheduler;
std::vector<ucontext_t> contexts(MAX_BLOCK);
void to_scheduler() { swapcontext(&contexts[block.current->linear], &scheduler); }
void to_thread(Thread& t) { swapcontext(&scheduler, &contexts[t.linear]); }
void entry();
void prepare(Thread& t, void* stack) {
  ucontext_t& c = contexts[t.linear];
  getcontext(&c);
  c.uc_stack.ss_sp = stack;
  c.uc_stack.ss_size = STACK;
  makecontext(&c, entry, 0);
}
#endif

void entry() {
  (*body)();
  Thread& me = *block.current;
  if (!me.copies.empty())
    report("unwaited cp.async",
           "a thread ends with " + std::to_string(me.copies.size()) +
               " asynchronous copies that it has not waited for",
           Place{block.kernel, 0});
  me.state = State::done;
  to_scheduler();
}

std::string name(const Thread& t) {
  const Dim &b = block.index, &i = t.index;
  const auto of = [](const Dim& d) {
    return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
  };
  return "thread " + of(i) + " of block " + of(b);
}

std::string at(const Place& p) { return std::string(p.file) + ":" + std::to_string(p.line); }

// Lets the lanes of a warp that have all met go on. Returns whether any did.
bool release_warps() {
  bool any = false;
  const int count = int(block.threads.size());
  for (int first = 0; first < count; first += WARP) {
    for (int leader = first; leader < std::min(first + WARP, count); ++leader) {
      Thread& t = block.threads[leader];
      if (t.state != State::in_meeting) continue;
      void* given[WARP] = {};
      bool all = true, same = true;
      for (int i = 0; i < WARP; ++i) {
        if (!(t.mask >> i & 1)) continue;
        Thread* other = first + i < count ? &block.threads[first + i] : nullptr;
        if (!other || other->state != State::in_meeting) {
          all = false;
          continue;
        }
        same = same && other->place == t.place && other->mask == t.mask;
        given[i] = other->given;
      }
      if (!all) continue;
      if (!same) {
        report("divergent warp", "lanes of a warp meet at different places", t.place);
        block.failed = true;
        return false;
      }
      t.combine(given, t.about);
      ++block.warp_epochs[first / WARP];
      const unsigned mask = t.mask;
      for (int i = 0; i < WARP; ++i)
        if (mask >> i & 1) block.threads[first + i].state = State::ready;
      any = true;
    }
  }
  return any;
}

// Lets the block pass its barrier, or records why it cannot. Returns whether threads go on.
bool release_barrier() {
  const Thread *waiting = nullptr, *missing = nullptr, *elsewhere = nullptr;
  for (const Thread& t : block.threads) {
    if (t.state == State::at_barrier) {
      if (!waiting)
        waiting = &t;
      else if (!(t.place == waiting->place))
        elsewhere = &t;
    } else
      missing = &t;
  }
  if (!waiting && !missing) return false;
  const Thread* stuck = nullptr;
  for (const Thread& t : block.threads)
    if (t.state == State::in_meeting) stuck = &t;
  if (stuck) {
    report("divergent warp", "lanes named by the mask never arrive; " + name(*stuck) + " waits",
           stuck->place);
    block.failed = true;
    return false;
  }
  if (!waiting) return false;  // all are done
  if (missing || elsewhere) {
    report("divergent barrier",
           name(*waiting) + " waits, but " + name(missing ? *missing : *elsewhere) +
               (missing ? " has ended" : " waits at " + at(elsewhere->place)),
           waiting->place);
    block.failed = true;
    return false;
  }
  if (counting) count_flush(false);
  ++block.epoch;
  for (Thread& t : block.threads) t.state = State::ready;
  return true;
}

void run_block(std::mt19937& random) {
  const Dim& e = block.extents;
  const int count = int(e.count());
  block.threads.assign(count, Thread());
  block.warp_epochs.assign((count + WARP - 1) / WARP, 0);
  block.epoch = 0;
  begin_block_memory();
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  if (seed == 1) std::reverse(order.begin(), order.end());
  for (int i = 0; i < count; ++i) {
    Thread& t = block.threads[i];
    t.linear = i, t.warp = i / WARP, t.lane = i % WARP;
    t.index = Dim(i % e.x, i / e.x % e.y, i / e.x / e.y);
    prepare(t, stacks[i]);
  }
  do {
    if (seed > 1) std::shuffle(order.begin(), order.end(), random);
    for (int i : order) {
      Thread& t = block.threads[i];
      if (t.state != State::ready) continue;
      block.current = &t;
      to_thread(t);
      if (block.failed) break;
    }
  } while (!block.failed && (release_warps() || (!block.failed && release_barrier())));
  block.current = nullptr;
  end_block_memory();
}

}  // namespace

const Dim& thread_index() { return block.current->index; }
const Dim& block_index() { return block.index; }
const Dim& block_extents() { return block.extents; }
const Dim& grid_extents() { return block.grid; }
int lane() { return block.current->lane; }

void end_kernel() {
  block.failed = true;
  to_scheduler();
  __builtin_unreachable();
}

void barrier(Place place) {
  block.current->state = State::at_barrier;
  block.current->place = place;
  to_scheduler();
}

void warp_meeting(unsigned mask, void* given, Combine combine, const void* about, Place place) {
  Thread& me = *block.current;
  if (!(mask >> me.lane & 1)) report("divergent warp", "a lane is missing in its own mask", place);
  me.state = State::in_meeting;
  me.place = place, me.mask = mask | 1u << me.lane;
  me.given = given, me.combine = combine, me.about = about;
  to_scheduler();
}

void expect_block(int64_t threads, Place place) {
  if (block.extents.count() > threads)
    report("launch bounds",
           "a block has " + std::to_string(block.extents.count()) +
               " threads, but the kernel is compiled for " + std::to_string(threads),
           place);
}

int launch(const char* kernel, Dim grid, Dim extents, const std::function<void()>& threads_body) {
  block.kernel = kernel;
  const auto within = [](int64_t value, int64_t limit) { return value >= 1 && value <= limit; };
  if (!within(extents.count(), MAX_BLOCK) || !within(extents.z, 64) ||
      !within(grid.x, MAX_GRID_X) || !within(grid.y, MAX_GRID_YZ) || !within(grid.z, MAX_GRID_YZ)) {
    report("launch limits",
           "grid (" + std::to_string(grid.x) + "," + std::to_string(grid.y) + "," +
               std::to_string(grid.z) + ") of blocks of " + std::to_string(extents.count()) +
               " threads",
           Place{kernel, 0});
    return 9;
  }
  while (int64_t(stacks.size()) < extents.count()) {
    void* stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) return 2;
    stacks.push_back(stack);
  }
  count_launch();
  body = &threads_body;
  block.launch = ++launches;
  block.grid = grid, block.extents = extents;
  block.failed = false;
  std::mt19937 random(seed);
  std::vector<int32_t> order(grid.count());
  std::iota(order.begin(), order.end(), 0);
  if (seed == 1) std::reverse(order.begin(), order.end());
  if (seed > 1) std::shuffle(order.begin(), order.end(), random);
  for (int32_t number : order) {
    block.number = number;
    block.index = Dim(number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y);
    run_block(random);
    if (block.failed) return 719;
  }
  return 0;
}

}  // namespace simt

void simt_set_schedule(unsigned value) { simt::seed = value; }
