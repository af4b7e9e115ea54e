// parallel_jobs(threads, jobs, f) calls f(job, thread) once for every job in [0, jobs). Only this
// file knows the thread runtime, GNU OpenMP, which torch has loaded. It calls the entry points of
// the runtime itself, so that no compiler links a second one. Layer: cpu, for drivers.
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

// Every thread runs its own range of the jobs in order, and then helps the other threads. The range
// is the same in every call with as many jobs, so the data of earlier calls is in the thread's
// caches or on its memory node. The result of a job must not depend on the thread that runs it.
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

// Returns 1 for little work, because waking a second thread takes 1 to 2 microseconds.
constexpr int threads_for(int64_t multiply_adds, int threads) {
  return multiply_adds < 100'000 ? 1 : threads;
}

// Into how many parts, between `least` and `most`, work is cut that makes `of_part` jobs of each part:
// so many that all threads have as many jobs, if there are few jobs. One thread gets `least`. Results
// must not depend on the cut.
constexpr int64_t even_cut(int64_t least, int64_t most, int64_t of_part, int threads) {
  constexpr int64_t FEW = 8;  // jobs of a thread: with more, one more or less does not matter
  if (of_part * least >= FEW * threads) return least;
  for (int64_t count = least; count <= min64(most, least + threads); ++count)
    if (of_part * count % threads == 0) return count;
  return of_part * least < threads ? max64(least, most) : least;
}

}  // namespace fastconv::cpu
