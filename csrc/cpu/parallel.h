// parallel_jobs(threads, jobs, f): calls f(job, thread) once for every job in [0, jobs). The only
// file that knows the thread runtime, GNU OpenMP's: the one that torch has loaded already. Layer:
// cpu, for drivers.
#pragma once

#include <omp.h>

#include <atomic>
#include <cstdint>

#include "../shape.h"

namespace fastconv::cpu {

// Jobs are handed out one by one, in order. Which thread runs a job must not change its result.
template <class F>
void parallel_jobs(int threads, int64_t jobs, const F& f) {
  threads = static_cast<int>(min64(threads, jobs));
  if (threads <= 1) {
    for (int64_t job = 0; job < jobs; ++job) f(job, 0);
    return;
  }
  std::atomic<int64_t> next{0};
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
    for (int64_t job; (job = next.fetch_add(1, std::memory_order_relaxed)) < jobs;) f(job, thread);
  }
}

// Below about a microsecond or two of work, waking a second thread costs more than it saves.
constexpr int threads_for(int64_t multiply_adds, int threads) {
  return multiply_adds < 100'000 ? 1 : threads;
}

}  // namespace fastconv::cpu
