// How long Winograd takes: counts of transformed vectors and of products
// (docs/kernels/winograd.md). Layer: cpu/paths.
#include "../gemm/product.h"
#include "../winograd/across_channels.h"
#include "../winograd/across_tiles.h"
#include "../winograd/schedule.h"
#include "../winograd/weight_across_tiles.h"
#include "estimates.h"

namespace fastconv::cpu {
namespace {

using namespace winograd_work;
using Times = double[KINDS];

template <class T>
bool lanes_are_tiles(const WinogradConv& c, bool backward_weight) {
  return backward_weight ? WeightAcrossTiles<T>::supports(c) : AcrossTiles<T>::supports(c);
}

// Slots of one term of a product, `rows` rows by panels of at most `most` vectors of `columns`.
template <class T>
double slots(const Machine& m, int64_t rows, int64_t columns, int64_t most) {
  using Sum = typename Element<T>::Sum;
  const ProductKernels<Sum>& k = product_kernels<Sum>(isa());
  const PanelCut panels(columns, m.lanes, most);
  double sum = 0;
  for (int64_t i = 0; i < panels.panels; ++i) {
    const int64_t width = panels.width(i) / m.lanes;
    const int* tiles =
        width == ProductKernels<Sum>::TILE_VECTORS ? k.tile_rows : k.panel_rows[width - 1];
    int64_t left = rows;
    for (; left > 0; ++tiles) {
      const int64_t count = left / *tiles;
      const double of_tile = double(*tiles * width);
      sum += count * (of_tile > m.least ? of_tile : m.least);
      left -= count * *tiles;
    }
  }
  return sum;
}

// How much longer than half of their time two threads take for equal jobs that do not divide evenly.
double unevenness(int64_t jobs) { return 2.0 * ceil_div(jobs, 2) / jobs; }

// What jobs of a plan for two threads share unevenly.
struct Unevenness {
  double input, rest;  // the transform of the input; products, filters and outputs

  template <class Schedule>
  explicit Unevenness(const Schedule& p) {
    const int64_t blocks = p.form.blocks(), groups = p.form.c.groups;
    const int64_t jobs = p.by_groups ? groups : p.filters_private ? p.form.units : groups * blocks;
    rest = unevenness(jobs);
    input = p.by_groups ? rest : p.own_input ? 2 : unevenness(p.filters_private ? blocks : jobs);
  }
};

template <class T>
void count_tiles(const WinogradConv& c, bool backward_weight, Times& t) {
  using Sum = typename Element<T>::Sum;
  const Machine m = Machine::of<T>();
  const int64_t out = outputs_of_tile(c.K), tile_rows = c.N * ceil_div(c.OH, out);
  const int64_t tiles = tile_rows * ceil_div(c.OW, out);
  const double G = double(c.groups), points = POINT_COUNT;
  const double c_vectors = double(ceil_div(c.C, m.lanes)),
               m_vectors = double(ceil_div(c.M, m.lanes));
  constexpr int64_t MOST = ProductKernels<Sum>::TILE_VECTORS, CHANNEL_MOST = MOST - 1;
  if (lanes_are_tiles<T>(c, backward_weight)) {
    const double vectors = double(ceil_div(tiles, m.lanes));
    if (backward_weight)
      t[SLOT] += G * points * tiles * slots<T>(m, c.C, c.M, MOST);
    else
      t[SLOT] += G * points * c.C * c.M * vectors;
    t[TILE_BLOCK] += backward_weight ? 0 : G * ceil_div(tiles, AcrossTiles<T>::BLOCK_TILES);
    t[backward_weight ? WEIGHT_IN : IN] += G * points * c.C * vectors;
    t[backward_weight ? WEIGHT_OUT : OUT] +=
        G * points * (backward_weight ? m_vectors * tiles : c.M * vectors);
    if (!backward_weight) {
      const Unevenness more(WinogradSchedule<AcrossTiles<T>, T>(c, 2, nullptr));
      t[IN] *= more.input, t[OUT] *= more.rest, t[SLOT] *= more.rest;
    }
    t[ROW] += G * (c.C + c.M) * tile_rows;
    t[FILTER] += G * points * c.C * c.M / m.lanes;
  } else {
    const TileGrid grid(c, AcrossChannels<T>::BLOCK_TILES);
    if (backward_weight)
      t[CHANNEL_SLOT] += G * points * tiles * slots<T>(m, c.C, c.M, CHANNEL_MOST);
    else
      t[CHANNEL_SLOT] +=
          G * points * c.C * grid.blocks() * slots<T>(m, grid.block_tiles(), c.M, CHANNEL_MOST);
    t[CHANNEL_BLOCK] += backward_weight ? 0 : G * grid.blocks();
    t[CHANNEL_IN] += G * points * c_vectors * tiles;
    t[CHANNEL_OUT] += G * points * m_vectors * tiles;
    const double pixels = tiles * out * (WINOGRAD_POINTS * c_vectors + out * m_vectors);
    t[c.x.w == 1 ? TURNED : PIXEL] += G * pixels;
    t[FILTER] += G * points * c.C * m_vectors;
    if (!backward_weight) {
      const Unevenness more(WinogradSchedule<AcrossChannels<T>, T>(c, 2, nullptr));
      t[CHANNEL_IN] *= more.input, t[CHANNEL_OUT] *= more.rest, t[CHANNEL_SLOT] *= more.rest;
    }
  }
  t[FILTER_READ] += G * c.C * c.M * c.K * c.K;
  if (backward_weight)
    t[POINT] += G * points * ceil_div(c.C, PRODUCT_PART) * ceil_div(tiles, PRODUCT_PART);
}

}  // namespace

template <class T, Direction DIRECTION>
Estimate estimate_winograd(const Conv2dShape& s) {
  Times t = {};
  const bool into_x = DIRECTION == Direction::backward_input;
  count_tiles<T>(into_x ? winograd_backward_input(s) : winograd_forward(s),
                 DIRECTION == Direction::backward_weight, t);
  return estimate_of(WINOGRAD_COSTS, t);
}

#define INSTANTIATE(T)                                                                   \
  template Estimate estimate_winograd<T, Direction::forward>(const Conv2dShape&);        \
  template Estimate estimate_winograd<T, Direction::backward_input>(const Conv2dShape&); \
  template Estimate estimate_winograd<T, Direction::backward_weight>(const Conv2dShape&);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
