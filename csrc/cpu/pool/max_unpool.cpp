// max_unpool and its gradient (contract: max_unpool.h). Layer: cpu, driver.
//
// A job is some whole NCHW planes, or some channels of one NHWC image, so that no two threads write
// the same element, and equal indices meet in the order of x. Indices of pooling grow, but for the
// extent of a window. So the zeros of y are written a little ahead of the elements, while a cache
// holds them, however large a plane is. (Planes that were filled in a workspace and went past the
// caches from there took as long or longer: docs/performance-log.md.)
#include "max_unpool.h"

#include <atomic>
#include <cstring>
#include <limits>

#include "../common/parallel.h"

namespace fastconv::cpu {
namespace {

constexpr int64_t UNPOOL_JOB_ELEMENTS = 4096;      // of y: enough to be worth handing out
constexpr int64_t UNPOOL_AHEAD_BYTES = 16 * 1024;  // zeros that are written at once: half of L1
constexpr int64_t UNPOOL_LEAST_CHANNELS = 32;      // of a job in NHWC: a cache line of 16-bit types
constexpr int64_t NEVER = std::numeric_limits<int64_t>::max();

int unpool_threads(const UnpoolShape& s, int threads) {
  return threads_for(8 * max64(s.x_count(), s.y_count()), threads);
}

// The least of the places that jobs note.
class FirstPlace {
 public:
  void note(int64_t place) {
    int64_t before = least.load(std::memory_order_relaxed);
    while (place < before &&
           !least.compare_exchange_weak(before, place, std::memory_order_relaxed)) {
    }
  }
  int64_t get() const {
    const int64_t place = least.load(std::memory_order_relaxed);
    return place == NEVER ? NO_INDEX : place;
  }

 private:
  std::atomic<int64_t> least{NEVER};
};

// Some neighbouring channels of a plane or volume. PLANE: one channel, whose elements are neighbours.
template <class Bits, bool PLANE>
struct Channels {
  const int64_t* indices;
  int64_t in, out;    // elements of a channel of x, and of y
  int64_t all, some;  // channels of the tensor, and of these

  // Elements from one pixel to the next, and channels.
  int64_t pixel() const { return PLANE ? 1 : all; }
  int64_t count() const { return PLANE ? 1 : some; }

  // Returns the number of the first index that is outside, or NEVER.
  int64_t scatter(const Bits* __restrict__ x, Bits* __restrict__ y) const {
    const int64_t ahead = max64(1, UNPOOL_AHEAD_BYTES / (count() * int64_t(sizeof(Bits))));
    int64_t cleared = 0, outside = NEVER;
    for (int64_t i = 0; i < in; ++i) {
      for (int64_t c = 0; c < count(); ++c) {
        const int64_t from = i * pixel() + c, index = indices[from];
        if (static_cast<uint64_t>(index) >= static_cast<uint64_t>(cleared)) {
          if (static_cast<uint64_t>(index) >= static_cast<uint64_t>(out)) {
            outside = min64(outside, from);
            continue;
          }
          const int64_t next = min64(out, round_up(index + 1, ahead));
          clear(y, cleared, next);
          cleared = next;
        }
        y[index * pixel() + c] = x[from];
      }
    }
    clear(y, cleared, out);
    return outside;
  }

  int64_t gather(const Bits* __restrict__ grad_y, Bits* __restrict__ grad_x) const {
    int64_t outside = NEVER;
    for (int64_t i = 0; i < in; ++i) {
      for (int64_t c = 0; c < count(); ++c) {
        const int64_t from = i * pixel() + c, index = indices[from];
        if (static_cast<uint64_t>(index) < static_cast<uint64_t>(out))
          grad_x[from] = grad_y[index * pixel() + c];
        else
          outside = min64(outside, from);
      }
    }
    return outside;
  }

 private:
  void clear(Bits* y, int64_t first, int64_t end) const {
    if (count() == pixel()) {
      std::memset(y + first * pixel(), 0, (end - first) * pixel() * sizeof(Bits));
      return;
    }
    for (int64_t i = first; i < end; ++i) std::memset(y + i * pixel(), 0, count() * sizeof(Bits));
  }
};

// Calls f(channels, x_first, y_first), which returns as scatter does, for all channels of all
// images. x_first and y_first are where the channels begin in x and in y. Returns the place of the first
// index that is outside, or NO_INDEX.
template <class Bits, class F>
int64_t for_channels(const UnpoolShape& s, const int64_t* indices, int threads, const F& f) {
  const int64_t in = s.in(), out = s.out(), planes = s.N * s.C;
  FirstPlace outside;
  const auto note = [&](int64_t x_first, int64_t number) {
    if (number != NEVER) outside.note(x_first + number);
  };
  threads = unpool_threads(s, threads);
  if (!s.channels_last) {
    const int64_t together = max64(1, UNPOOL_JOB_ELEMENTS / max64(1, max64(in, out)));
    parallel_jobs(threads, ceil_div(planes, together), [&](int64_t job, int) {
      for (int64_t p = job * together; p < min64(planes, (job + 1) * together); ++p) {
        const Channels<Bits, true> channel{indices + p * in, in, out, 1, 1};
        note(p * in, f(channel, p * in, p * out));
      }
    });
    return outside.get();
  }
  const int64_t parts = ceil_div(threads, max64(1, s.N));  // of an image: one, if images suffice
  const int64_t some = round_up(ceil_div(s.C, parts), UNPOOL_LEAST_CHANNELS);
  const int64_t blocks = ceil_div(s.C, some);
  parallel_jobs(threads, s.N * blocks, [&](int64_t job, int) {
    const int64_t n = job / blocks, c = job % blocks * some;
    const int64_t x_first = n * in * s.C + c, y_first = n * out * s.C + c;
    const Channels<Bits, false> channels{indices + x_first, in, out, s.C, min64(some, s.C - c)};
    note(x_first, f(channels, x_first, y_first));
  });
  return outside.get();
}

}  // namespace

template <class Bits>
int64_t max_unpool_forward(const UnpoolShape& s, const Bits* x, const int64_t* indices, Bits* y,
                           int threads) {
  if (s.N * s.C == 0) return NO_INDEX;
  return for_channels<Bits>(s, indices, threads,
                            [&](const auto& channels, int64_t x_first, int64_t y_first) {
                              return channels.scatter(x + x_first, y + y_first);
                            });
}

template <class Bits>
int64_t max_unpool_backward(const UnpoolShape& s, const Bits* grad_y, const int64_t* indices,
                            Bits* grad_x, int threads) {
  if (s.N * s.C == 0) return NO_INDEX;
  return for_channels<Bits>(s, indices, threads,
                            [&](const auto& channels, int64_t x_first, int64_t y_first) {
                              return channels.gather(grad_y + y_first, grad_x + x_first);
                            });
}

#define INSTANTIATE(BITS)                                                                     \
  template int64_t max_unpool_forward(const UnpoolShape&, const BITS*, const int64_t*, BITS*, \
                                      int);                                                   \
  template int64_t max_unpool_backward(const UnpoolShape&, const BITS*, const int64_t*, BITS*, int);
INSTANTIATE(uint16_t)
INSTANTIATE(uint32_t)
INSTANTIATE(uint64_t)

}  // namespace fastconv::cpu
