// An axis of a convolution whose outputs fall into phases, and which taps each output row reads. Forward
// has one phase, backward_input as many as the stride. Layer: cpu, for drivers.
#pragma once

#include <cstdint>

#include "../../core/shape.h"
#include "axis.h"

namespace fastconv::cpu {

// One axis. Outputs r, r + phases, r + 2 * phases, ... are the outputs of phase r. Its tap a, in the
// order of the rows that taps read, is tap first_k + a * step_k of the filter.
struct PhasedAxis {
  static constexpr int64_t MOST_PHASES = 16;
  int64_t source, outputs, phases, filter_taps;
  Phase phase[MOST_PHASES];

  // At least as many source rows as any `count` neighbouring outputs read.
  constexpr int64_t most_source_rows(int64_t count) const {
    int64_t first = phase[0].axis.first, last = first;
    for (int64_t r = 0; r < phases; ++r) {
      const Axis& axis = phase[r].axis;
      if (axis.taps == 0) continue;
      first = min64(first, axis.first);
      last = max64(last, axis.first + (axis.taps - 1) * axis.step);
    }
    const int64_t steps = ceil_div(count, phases) * phase[0].axis.stride;
    return min64(source, last - first + steps + 1);
  }
};

constexpr PhasedAxis forward_axis(const Axis& axis) {
  PhasedAxis a{axis.source, axis.outputs, 1, axis.taps, {}};
  a.phase[0] = {axis, 0, 1};
  return a;
}

// The taps of a phase of backward_input read grad_y backwards. They are renumbered from the last.
constexpr PhasedAxis gradient_axis(int64_t I, int64_t O, int64_t K, int64_t stride, int64_t pad,
                                   int64_t dilation) {
  PhasedAxis a{O, I, min64(stride, I), K, {}};
  for (int64_t r = 0; r < a.phases; ++r) {
    Phase p = phase_axis(r, I, O, K, stride, pad, dilation);
    const int64_t last = max64(0, p.axis.taps - 1);
    p.axis.first += last * p.axis.step;
    p.axis.step = -p.axis.step;
    p.first_k = p.axis.taps == 0 ? 0 : p.first_k + last * p.step_k;
    p.step_k = -p.step_k;
    a.phase[r] = p;
  }
  return a;
}

// What an output row reads: taps [begin, end) of its phase, the first of them from source row
// `first`. Taps outside the image are left out.
struct RowTaps {
  const Phase* phase;
  int64_t first, begin, end;
};

inline void fill_rows(const PhasedAxis& h, RowTaps* rows) {
  for (int64_t o = 0; o < h.outputs; ++o) {
    const Phase& phase = h.phase[o % h.phases];
    const Axis& axis = phase.axis;
    const int64_t first = o / h.phases * axis.stride + axis.first;
    const int64_t begin = first < 0 ? min64(axis.taps, ceil_div(-first, axis.step)) : 0;
    const int64_t inside = first < h.source ? ceil_div(h.source - first, axis.step) : 0;
    rows[o] = {&phase, first + begin * axis.step, begin, max64(begin, min64(axis.taps, inside))};
  }
}

// The source rows that the output rows [begin, end) read.
inline Window source_rows(const RowTaps* rows, int64_t begin, int64_t end) {
  Window source{INT64_MAX, 0};
  for (int64_t o = begin; o < end; ++o) {
    const RowTaps& row = rows[o];
    if (row.begin == row.end) continue;
    source.first = min64(source.first, row.first);
    source.end =
        max64(source.end, row.first + (row.end - row.begin - 1) * row.phase->axis.step + 1);
  }
  return source.end == 0 ? Window{0, 0} : source;
}

}  // namespace fastconv::cpu
