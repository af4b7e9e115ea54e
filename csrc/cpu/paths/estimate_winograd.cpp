// How long Winograd takes: counts of transformed vectors and of products
// (docs/kernels/winograd.md). Layer: cpu/paths.
#include "../gemm/product.h"
#include "../winograd/tiles.h"
#include "../winograd/winograd.h"
#include "estimates.h"

namespace fastconv::cpu {
namespace {

using namespace winograd_work;
using Times = double[KINDS];

// Whether lanes are tiles (AcrossTiles and WeightAcrossTiles say so of themselves).
bool lanes_are_tiles(const WinogradConv& c, int64_t lanes, bool backward_weight) {
  const int64_t out = outputs_of_tile(c.K), columns = ceil_div(c.OW, out);
  const int64_t tiles = c.N * ceil_div(c.OH, out) * columns;
  return c.x.w == 1 && c.y.w == 1 && columns > 1 && tiles >= 2 * lanes &&
         8 * tiles >= 7 * round_up(tiles, lanes) && (!backward_weight || tiles >= WINOGRAD_PART);
}

template <class T>
void count_tiles(const WinogradConv& c, bool backward_weight, Times& t) {
  using Sum = typename Element<T>::Sum;
  const Machine m = Machine::of<T>();
  const ProductKernels<Sum>& k = product_kernels<Sum>(isa());
  const int64_t out = outputs_of_tile(c.K), tile_rows = c.N * ceil_div(c.OH, out);
  const int64_t tiles = tile_rows * ceil_div(c.OW, out);
  const double G = double(c.groups), points = POINT_COUNT;
  t[GROUP] += G;
  if (lanes_are_tiles(c, m.lanes, backward_weight)) {
    constexpr int64_t BLOCK_TILES = 48;
    const double vectors = double(ceil_div(tiles, m.lanes));
    t[TILE_BLOCK] += G * ceil_div(tiles, BLOCK_TILES);
    t[SLOT] += G * points * c.C * c.M * vectors;
    t[IN] += G * points * c.C * vectors;
    t[OUT] += G * points * c.M * vectors;
    t[ROW] += G * (c.C + c.M) * tile_rows;
    t[FILTER] += G * points * c.C * c.M / m.lanes;
  } else {
    constexpr int64_t BLOCK_TILES = 42;
    const TileGrid grid(c, BLOCK_TILES);
    const PanelCut panels(c.M, m.lanes, ProductKernels<Sum>::PANEL_VECTORS);
    double slots = 0;
    for (int64_t i = 0; i < panels.panels; ++i) {
      const int64_t width = panels.width(i) / m.lanes;
      int64_t rows = grid.block_tiles();
      for (int tile = 0; rows > 0; ++tile) {
        const int64_t of_tile = k.panel_rows[width - 1][tile], count = rows / of_tile;
        slots += count * (of_tile * width > m.least ? of_tile * width : m.least);
        rows -= count * of_tile;
      }
    }
    const double c_vectors = double(ceil_div(c.C, m.lanes)), m_vectors = double(panels.vectors());
    t[CHANNEL_BLOCK] += G * grid.blocks();
    t[CHANNEL_SLOT] += G * points * c.C * slots * grid.blocks();
    t[CHANNEL_IN] += G * points * c_vectors * tiles;
    t[CHANNEL_OUT] += G * points * m_vectors * tiles;
    if (c.x.w == 1) t[TURNED] += G * m.lanes * tiles * (c_vectors * points + m_vectors * out * out);
    t[FILTER] += G * points * c.C * m_vectors;
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
