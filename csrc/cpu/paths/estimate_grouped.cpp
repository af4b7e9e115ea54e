// How long grouped convolution takes: counts of what csrc/cpu/grouped/correlate.cpp and weight.cpp do.
// Layer: cpu/paths.
#include "../common/weight_bands.h"
#include "../grouped/correlate.h"
#include "../grouped/groups.h"
#include "estimates.h"

namespace fastconv::cpu {
namespace {

using namespace grouped_work;
using Times = double[KINDS];

// Pairs of an output and one of its taps that lie inside the image, along one axis.
double inside_pairs(const Axis& axis) {
  double sum = 0;
  for (int64_t tap = 0; tap < axis.taps; ++tap) {
    const Window seen = inside(axis, tap);
    sum += double(max64(0, seen.end - seen.first));
  }
  return sum;
}

template <class T>
struct GroupedCounts {
  // Packing or unpacking of `pixels` pixels with `channels` channels, in tensors with these strides.
  static void move(const Strides& s, double pixels, int64_t channels, int64_t lanes, Times& t) {
    if (s.w == 1 && channels < lanes)
      t[NARROW] += pixels / double(lanes);
    else
      t[s.w == 1 ? MOVED : MOVED_ONE] += pixels * double(channels);
  }

  static void correlation(const GroupedCorrelation& s, Times& t) {
    using Kernels = GroupedKernels<T>;
    const GroupChannels<T> g(s.groups, s.inputs, s.outputs);
    const bool in_place = s.in.c == 1 && s.out.c == 1 && g.in_place();
    const int64_t taps = s.h.filter_taps * s.w.filter_taps;
    const double N = double(s.N), vectors = double(g.vectors());
    const bool dense = s.weight.w == 1 && s.weight.h == s.w.filter_taps && s.weight.c == taps;
    const double weights = vectors * double(s.inputs * taps * g.lanes);
    t[dense ? PACKED : GATHERED] += weights;
    // Vectors of one call, and how many calls a row of the output has.
    const int64_t together = in_place ? (g.same() ? g.unit_vectors() : g.vectors()) : 1;
    const double calls = vectors / double(together);
    t[JOB] += N * (in_place ? ceil_div(s.h.outputs, ROWS_OF_JOB) : double(g.units()));
    const double bands = double(ceil_div(s.h.outputs, ROWS_OF_JOB));
    t[FAR_LINE] += far_lines(weights * sizeof(T), 3 + LINES_OF_AGAIN * (N * bands - 1));
    // Each tile reads the filters of its vector.
    const double filter = double(s.inputs * taps * g.lanes) * sizeof(T);
    const double slot = filter > L1_BYTES ? BEYOND_L1 : 1;
    if (!in_place) {
      const int64_t rows = min64(s.h.source, s.h.outputs * s.h.phase[0].axis.stride);
      move(s.in, N * double(g.units() * rows * s.w.source), g.input_width(), g.lanes, t);
      move(s.out, N * vectors * double(s.h.outputs * s.w.outputs), g.lanes, g.lanes, t);
    }
    double row_taps = 0, rows = 0;
    for (int64_t r = 0; r < s.h.phases; ++r) {
      row_taps += inside_pairs(s.h.phase[r].axis);
      rows += double(s.h.phase[r].axis.outputs);
    }
    for (int64_t c = 0; c < s.w.phases; ++c) {
      const Axis& w = s.w.phase[c].axis;
      if (w.outputs == 0) continue;
      const bool special = (w.step == 1 || w.taps <= 1) && w.stride <= Kernels::MOST_STRIDE;
      const bool pairs = g.same() && (!special || w.stride != 1) && w.outputs >= pair_columns(g);
      const double paired = pairs ? double(together / 2 * 2) / double(together) : 0;
      const int64_t tile = w.outputs >= WIDE_COLUMNS     ? WIDE_COLUMNS
                           : w.outputs >= NARROW_COLUMNS ? NARROW_COLUMNS
                                                         : 1;
      const int64_t tiles = ceil_div(w.outputs, tile);
      const double again = double(tiles * tile) / double(w.outputs);  // tiles overlap
      const double inputs = double(s.inputs), single = vectors * (1 - paired);
      const double sums = N * row_taps * inside_pairs(w) * inputs;
      t[ROW] += N * rows * calls;
      t[TILE] += N * rows * double(tiles) * (single + vectors * paired / 2);
      const double loops = special ? double(ceil_div(w.taps, 3)) : double(w.taps);
      const double begun = N * row_taps * double(tiles) * loops * (single + vectors * paired / 2);
      t[TAPS] += begun;
      t[LOOP] += begun * inputs;
      t[PAIR] += slot * sums * vectors * paired;
      t[!special ? ANY : g.same() ? SLOT : PERMUTED] += slot * sums * single * again;
    }
  }

  static void backward_weight(const Conv2dShape& s, Times& t) {
    using Kernels = GroupedKernels<T>;
    const GroupChannels<T> g(s.groups, s.group_IC(), s.group_OC());
    const bool in_place = s.x_channels_last && s.y_channels_last && g.in_place();
    const int64_t sums = (s.terms() + 1) * g.vectors();
    const WeightBands bands(s, int64_t(sizeof(T)) * g.lanes);
    const int64_t shares = shares_of(bands.count, WEIGHT_JOBS, sums * g.lanes * int64_t(sizeof(T)));
    const double vectors = double(g.vectors()), all = double(bands.count);
    t[JOB] += all * double(in_place ? 1 : g.units());
    t[FAR_LINE] += far_lines(double(sums * g.lanes) * sizeof(T), 1 + double(shares));
    if (!in_place) {
      const double source = double(min64(s.IH, bands.rows * s.stride_h + s.KH - 1) * s.IW);
      move(s.x_strides(), all * source * double(g.units()), g.input_width(), g.lanes, t);
      move(s.y_strides(), double(s.N * s.OH() * s.OW()) * vectors, g.lanes, g.lanes, t);
    }
    const int64_t inputs = g.kernels().inputs, groups = s.group_IC() / inputs;
    const int64_t left = s.group_IC() % inputs;
    const Axis h = rows_axis(s), w = columns_axis(s);
    const double row_taps = inside_pairs(h), pairs = double(s.N) * row_taps * inside_pairs(w);
    const double rows = double(s.KH * ceil_div(s.KW, int64_t{Kernels::MOST_TAPS}));
    const bool special = w.step == 1 && w.stride <= Kernels::MOST_STRIDE;
    const auto tiles = [&](int64_t of_inputs) {
      const int64_t of_taps = min64(s.KW, int64_t{Kernels::MOST_TAPS});
      return double(ceil_div(s.OW(), clamp64(registers(g) - 2 - of_inputs * of_taps, 1, 4)));
    };
    t[SUM_CALL] += all * vectors * rows * double(groups + left);
    t[SUM_TILE] += double(s.N) * row_taps * vectors * rows / double(s.KH) *
                   (double(groups) * tiles(inputs) + double(left) * tiles(1));
    const int kind = !special ? SUM_ANY : g.same() ? SUM_SLOT : SUM_PERMUTED;
    t[kind] += pairs * vectors * double(groups * inputs);
    t[SUM_ANY] += pairs * vectors * double(left);
    t[s.w_channels_last && s.KH * s.KW > 1 ? GATHERED : PACKED] += double(s.w_count());
  }

  // Of dense layers with 256 and 512 channels, which the layers of the fit do not have: grouped takes 38
  // and 55 ms for 8x256x28x28 -> 256 and 8x256x14x14 -> 512, 3x3 stride 2, with one thread.
  static constexpr double L1_BYTES = 32 * 1024, BEYOND_L1 = 1.25;
  static constexpr double LINES_OF_AGAIN = 9;  // a line that a band reads again, from L3

  static constexpr int64_t ROWS_OF_JOB = 8;  // about: it depends on the threads
  // Columns of the tiles of leaves.inl, and registers of the instruction set that runs.
  static constexpr int64_t WIDE_COLUMNS = 7, NARROW_COLUMNS = 3;
  static int64_t pair_columns(const GroupChannels<T>& g) { return registers(g) == 16 ? 6 : 12; }
  static int64_t registers(const GroupChannels<T>& g) {
    return g.lanes * int64_t(sizeof(T)) < 64 ? 16 : 32;
  }
};

}  // namespace

template <class T, Direction DIRECTION>
Estimate estimate_grouped(const Conv2dShape& s) {
  Times t = {};
  if constexpr (!IS_WIDENED<T>) {
    if (DIRECTION == Direction::forward) GroupedCounts<T>::correlation(grouped_forward(s), t);
    if (DIRECTION == Direction::backward_input)
      GroupedCounts<T>::correlation(grouped_backward_input(s), t);
    if (DIRECTION == Direction::backward_weight) GroupedCounts<T>::backward_weight(s, t);
  }
  return estimate_of(GROUPED_COSTS, t);
}

#define INSTANTIATE(T)                                                                  \
  template Estimate estimate_grouped<T, Direction::forward>(const Conv2dShape&);        \
  template Estimate estimate_grouped<T, Direction::backward_input>(const Conv2dShape&); \
  template Estimate estimate_grouped<T, Direction::backward_weight>(const Conv2dShape&);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
