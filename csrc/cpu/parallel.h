// parallel_jobs(threads, jobs, f): calls f(job, thread) once for every job in [0, jobs). The only
// file that knows the thread runtime: GNU OpenMP's, which torch has loaded already, called by its
// own entry points, so that no compiler brings another one along. Layer: cpu, for drivers.
#pragma once

#include <atomic>
#include <cstdint>

#include "../shape.h"

extern "C" {
void GOMP_parallel(void (*work)(void*), void* team, unsigned threads, unsigned flags);
int omp_get_thread_num();
}

namespace fastconv::cpu {

template <class F>
struct Team {
  const F& f;
  int64_t jobs;
  std::atomic<int64_t> next{0};

  static void work(void* team) {
    Team& t = *static_cast<Team*>(team);
    const int thread = omp_get_thread_num();
    for (int64_t job; (job = t.next.fetch_add(1, std::memory_order_relaxed)) < t.jobs;)
      t.f(job, thread);
  }
};

// Jobs are handed out one by one, in order. Which thread runs a job must not change its result.
template <class F>
void parallel_jobs(int threads, int64_t jobs, const F& f) {
  threads = static_cast<int>(min64(threads, jobs));
  if (threads <= 1) {
    for (int64_t job = 0; job < jobs; ++job) f(job, 0);
    return;
  }
  Team<F> team{f, jobs};
  GOMP_parallel(&Team<F>::work, &team, static_cast<unsigned>(threads), 0);
}

// Below this, waking a second thread costs more than it saves: a microsecond or two.
constexpr int threads_for(int64_t multiply_adds, int threads) {
  return multiply_adds < 100'000 ? 1 : threads;
}

}  // namespace fastconv::cpu
