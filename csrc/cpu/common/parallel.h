// parallel_jobs(threads, jobs, f): calls f(job, thread) once for every job in [0, jobs). The only
// file that knows the thread runtime: GNU OpenMP's, which torch has loaded already, called by its
// own entry points, so that no compiler brings another one along. Layer: cpu, for drivers.
#pragma once

#include <atomic>
#include <cstdint>

#include "../../core/shape.h"
#include "workspace.h"

extern "C" {
void GOMP_parallel(void (*work)(void*), void* team, unsigned threads, unsigned flags);
int omp_get_thread_num();
}

namespace fastconv::cpu {

template <class F>
struct Team {
  static constexpr int64_t MOST_RANGES = 64;
  struct alignas(CACHE_LINE) Range {
    std::atomic<int64_t> next;
    int64_t end;
  };
  const F& f;
  int64_t ranges;
  Range range[MOST_RANGES];

  Team(const F& job, int64_t jobs, int threads) : f(job), ranges(min64(threads, MOST_RANGES)) {
    for (int64_t i = 0; i < ranges; ++i) {
      range[i].next.store(i * jobs / ranges, std::memory_order_relaxed);
      range[i].end = (i + 1) * jobs / ranges;
    }
  }
  static void work(void* team) {
    Team& t = *static_cast<Team*>(team);
    const int thread = omp_get_thread_num();
    for (int64_t i = 0; i < t.ranges; ++i) {
      Range& r = t.range[(thread + i) % t.ranges];
      while (r.next.load(std::memory_order_relaxed) < r.end) {
        const int64_t job = r.next.fetch_add(1, std::memory_order_relaxed);
        if (job < r.end) t.f(job, thread);
      }
    }
  }
};

// Every thread has a range of the jobs, the same whenever there are as many, and does it in order:
// what it has read or written before is in its caches, or at its node of memory. Then it helps the
// others. Which thread runs a job must not change its result.
template <class F>
void parallel_jobs(int threads, int64_t jobs, const F& f) {
  threads = static_cast<int>(min64(threads, jobs));
  if (threads <= 1) {
    for (int64_t job = 0; job < jobs; ++job) f(job, 0);
    return;
  }
  Team<F> team(f, jobs, threads);
  GOMP_parallel(&Team<F>::work, &team, static_cast<unsigned>(threads), 0);
}

// Below this, waking a second thread costs more than it saves: a microsecond or two.
constexpr int threads_for(int64_t multiply_adds, int threads) {
  return multiply_adds < 100'000 ? 1 : threads;
}

}  // namespace fastconv::cpu
