// Estimates of the time that a path takes for a shape: how often the path does each kind of work of
// costs.h. The choice among paths compares them. They know nothing of the threads of a call: if the
// choice depended on their number, bits would too. Layer: cpu/paths.
#pragma once

#include "../../core/dtype.h"
#include "../common/context.h"
#include "../common/correlation.h"
#include "../gemm/product.h"
#include "../simd/table.h"
#include "costs.h"

namespace fastconv::cpu {

constexpr double L2_BYTES = 512 * 1024;
constexpr int64_t PAGE_BYTES = 4096;

// What an estimate needs to know of the machine.
struct Machine {
  int64_t lanes;  // of the type of sums
  int64_t bytes;  // of an element of a sum
  double least;   // slots of a tile: steps of a multiply-add, times those that start at once

  template <class T>
  static Machine of() {
    using Sum = typename Element<T>::Sum;
    const int64_t lanes = row_kernels<Sum>(isa()).lanes, bytes = sizeof(Sum);
    return {lanes, bytes, double(least_sums(lanes * bytes))};
  }
};

constexpr double LINE_BYTES = 64;

// Cache lines of `bytes` bytes that are touched `times` times; none if L2 keeps them.
inline double far_lines(double bytes, double times = 1) {
  return bytes > L2_BYTES ? times * bytes / LINE_BYTES : 0;
}

// Bytes of the cache lines that hold the weights of a correlation. On small maps only a few taps of
// each channel see pixels, and each may have a line of its own.
inline double weight_bytes(const Correlation& s, int64_t bytes) {
  struct Extent {
    int64_t count, step;
  };
  const Extent extents[] = {
      {s.M, s.weight.n}, {s.C, s.weight.c}, {s.h.taps, s.weight.h}, {s.w.taps, s.weight.w}};
  double all = 1, run = 1, span = 1;
  for (bool longer = true; longer;) {
    longer = false;
    for (const Extent& e : extents)
      if (e.count > 1 && double(e.step) == run) run *= double(e.count), longer = true;
  }
  for (const Extent& e : extents) {
    all *= double(e.count);
    span += (e.count - 1.0) * double(e.step);
  }
  const double apart = all / run * (run * bytes + LINE_BYTES), together = span * bytes;
  return double(s.groups) * (apart < together ? apart : together);
}

// Calls f(r_h, r_w, weight) for at most 8 x 8 phases of backward_input, because thousands would take
// too long. Each stands for `weight` phases.
template <class F>
void for_some_phases(const Conv2dShape& s, const F& f) {
  constexpr int64_t MOST = 8;  // of an axis
  const int64_t rows = min64(s.stride_h, s.IH), columns = min64(s.stride_w, s.IW);
  const int64_t some_rows = min64(rows, MOST), some_columns = min64(columns, MOST);
  const double weight = double(rows) / some_rows * columns / some_columns;
  for (int64_t i = 0; i < some_rows; ++i)
    for (int64_t j = 0; j < some_columns; ++j)
      f(i * rows / some_rows, j * columns / some_columns, weight);
}

template <int KINDS>
Estimate estimate_of(const Cost (&costs)[KINDS], const double (&times)[KINDS]) {
  static_assert(KINDS <= Estimate::MOST_PARTS);
  Estimate e;
  for (int i = 0; i < KINDS; ++i)
    if (times[i] > 0) e.parts[e.count++] = {costs[i].work, times[i], costs[i].nanoseconds};
  return e;
}

enum class Direction { forward, backward_input, backward_weight };

template <class T, Direction DIRECTION>
Estimate estimate_gemm(const Conv2dShape& s);
template <class T, Direction DIRECTION>
Estimate estimate_small_map(const Conv2dShape& s);
template <class T, Direction DIRECTION>
Estimate estimate_winograd(const Conv2dShape& s);
template <class T, Direction DIRECTION>
Estimate estimate_direct(const Conv2dShape& s);
template <class T, Direction DIRECTION>
Estimate estimate_grouped(const Conv2dShape& s);
template <class T, Direction DIRECTION>
Estimate estimate_dilated_winograd(const Conv2dShape& s);
template <class T, Direction DIRECTION>
Estimate estimate_dilated_small_map(const Conv2dShape& s);

inline Estimate estimate_reference(const Conv2dShape& s) {
  const double times[] = {double(s.multiply_adds())};
  return estimate_of({REFERENCE_COST}, times);
}

// A path of a list whose estimate decides.
template <class Buffers>
Path<Buffers> estimated(Path<Buffers> path, Estimate (*estimate)(const Conv2dShape&)) {
  path.estimate = estimate;
  return path;
}

}  // namespace fastconv::cpu
