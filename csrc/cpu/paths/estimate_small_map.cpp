// How long the convolution of maps of a few pixels takes: counts of what
// csrc/cpu/gemm/small_maps.cpp does. Layer: cpu/paths.
#include "../common/correlation.h"
#include "../gemm/product.h"
#include "../gemm/weights.h"
#include "estimates.h"

namespace fastconv::cpu {
namespace {

using namespace small_map_work;
using Times = double[KINDS];

int64_t seen_taps(const Axis& axis) {
  int64_t sum = 0;
  for (int64_t a = 0; a < axis.taps; ++a) {
    const Window seen = inside(axis, a);
    sum += max64(0, seen.end - seen.first);
  }
  return sum;
}

template <class T>
void count_correlation(const Correlation& unclipped, double weight, Times& t) {
  using Sum = typename Element<T>::Sum;
  const Machine m = Machine::of<T>();
  const ProductKernels<Sum>& k = product_kernels<Sum>(isa());
  const Correlation s = clipped(unclipped).correlation;
  const int64_t pixels = s.h.outputs * s.w.outputs;
  if (pixels == 0) return;
  const PanelCut images(s.N, m.lanes, ProductKernels<Sum>::STRIDED_VECTORS);
  const int64_t taps = s.h.taps * s.w.taps, vectors = ceil_div(s.N, m.lanes);
  const bool in_place = s.weight.c == 1;
  const int64_t block = small_map_block(s.M, s.C * taps * m.bytes, !in_place);
  const int64_t blocks = ceil_div(s.M, block);
  const auto slots = [&](int64_t rows, int64_t width) {
    double sum = 0;
    for (int tile = 0; rows > 0; ++tile) {
      const int64_t of_tile = k.strided_rows[width - 1][tile], tiles = rows / of_tile;
      sum += tiles * (of_tile * width > m.least ? of_tile * width : m.least);
      rows -= tiles * of_tile;
    }
    return sum;
  };
  const double G = double(s.groups) * weight;
  const double seen = double(seen_taps(s.h)) * seen_taps(s.w);
  double of_term = 0;
  for (int64_t i = 0; i < images.panels; ++i) {
    const int64_t width = images.width(i) / m.lanes;
    of_term += (blocks - 1) * slots(block, width) + slots(s.M - (blocks - 1) * block, width);
  }
  double sums = seen * ceil_div(s.C, LONGEST_SUM);
  if (small_map_joins_taps(s, in_place && !IS_WIDENED<T>)) {
    const int64_t terms = s.C * seen_taps(s.w) / s.w.outputs;  // that an output sees in a row
    sums = double(seen_taps(s.h)) * s.w.outputs * ceil_div(max64(1, terms), LONGEST_SUM);
  }
  t[PRODUCT] += G * sums * blocks * images.panels;
  t[SLOT] += G * s.C * seen * of_term;
  t[RESULT] += G * (sums + 2.0 * pixels) * s.M * vectors;
  if (!in_place) t[PACKED] += G * s.M * s.C * taps;
  t[FAR_LINE] += weight * far_lines(weight_bytes(s, m.bytes), images.panels);
  t[IN] += G * s.C * s.h.source * s.w.source * vectors * m.lanes;
  // Neighbours in a vector of images then fall into the same few lines of every cache.
  const bool rows_apart = s.y.c != 1 && s.y.w != 1;
  if (s.y.w > 1 && s.y.c > 1) t[APART] += G * s.M * pixels * s.N;
  if (rows_apart && s.y.n * m.bytes % PAGE_BYTES == 0) t[FAR] += G * s.M * pixels * s.N;
}

}  // namespace

template <class T, Direction DIRECTION>
Estimate estimate_small_map(const Conv2dShape& s) {
  Times t = {};
  if (DIRECTION == Direction::forward) {
    count_correlation<T>(forward_correlation(s), 1, t);
  } else {
    const double weights = double(s.w_count());
    if (turns_filters(s)) {
      t[TURNED] += weights;
      t[FAR_LINE] += far_lines(weights * sizeof(T), 2);
    }
    for_some_phases(s, [&](int64_t r_h, int64_t r_w, double weight) {
      count_correlation<T>(phase_correlation(s, turned_strides(s), r_h, r_w).correlation, weight,
                           t);
    });
  }
  return estimate_of(SMALL_MAP_COSTS, t);
}

#define INSTANTIATE(T)                                                             \
  template Estimate estimate_small_map<T, Direction::forward>(const Conv2dShape&); \
  template Estimate estimate_small_map<T, Direction::backward_input>(const Conv2dShape&);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
