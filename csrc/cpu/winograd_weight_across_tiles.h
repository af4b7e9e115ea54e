// Winograd's backward_weight where V has lanes = tiles (winograd_across_tiles.h). Layer: cpu, for
// winograd_weight.cpp.
//
//   V[xi][t / PART][c][t % PART]    dM[xi][m / PANEL][t][m % PANEL]    dU[m / PANEL][xi][c][m % PANEL]
//
//   strip          of some PARTs of tiles: V and dM, so that memory does not grow with the batch
//     channels     parallel; x and grad_y to points
//     xi           parallel; V[xi] stays in L2
//       panel      dU[xi] += V[xi]^T dM[xi]
//         PART     of t: a panel of dM stays in L1 while the channels c pass by
//   filter         parallel; points to taps
// Where all tiles fit one strip a panel goes through all 36 xi and to its taps in one job, so that
// dU never leaves L2. Tiles come in the order of V's lanes, in dM too; dM of lanes of no tile is 0.
#pragma once

#include "parallel.h"
#include "winograd_across_tiles.h"
#include "winograd_weight_filters.h"

namespace fastconv::cpu {

template <class T>
struct WeightAcrossTiles {
  static constexpr int64_t STRIP_TILES = TileSpan::MOST_TILES;
  static constexpr int64_t STRIP_BYTES = int64_t(8) << 20, LONG_STRIP_BYTES = int64_t(24) << 20;
  static constexpr int64_t LARGE_FILTERS = int64_t(8) << 20;
  static constexpr int64_t MANY_PANELS = 8, CHANNELS = 16;
  static constexpr int64_t LINE = CACHE_LINE / int64_t(sizeof(T));

  const WinogradConv& c;
  const Kernels<T>& k;
  int threads;
  WinogradSeconds* seconds;
  int64_t lanes, panel, panels;
  AcrossTiles<T> input;
  int64_t m_point, m_panel, u_point, u_panel;

  WeightAcrossTiles(const WinogradConv& conv, int wanted_threads, WinogradSeconds* phases)
      : c(conv),
        k(kernels<T>()),
        threads(wanted_threads),
        seconds(phases),
        lanes(k.lanes),
        panel(panel_vectors(conv, lanes) * lanes),
        panels(ceil_div(conv.M, panel)),
        input(conv, strip_tiles(conv, lanes), WINOGRAD_PART) {
    m_panel = input.block * panel + LINE;
    m_point = panels * m_panel;
    u_point = c.C * panel + LINE;
    u_panel = POINT_COUNT * u_point;
  }
  // Whether this form can run a convolution, and its sums over tiles are as long as PART.
  static bool takes(const WinogradConv& c) {
    constexpr int64_t MANY_CHANNELS = 2048;  // of which V of PART tiles would not fit a strip
    return AcrossTiles<T>::takes(c) && c.C <= MANY_CHANNELS &&
           !product_below(WINOGRAD_PART, c.N, ceil_div(c.OH, 4), ceil_div(c.OW, 4));
  }
  // Panels for four vectors are two of two rather than one of three and one of one; in one strip,
  // there are to be many panels to share.
  static int64_t panel_vectors(const WinogradConv& c, int64_t lanes) {
    const int64_t vectors = ceil_div(c.M, lanes);
    const bool one_strip = c.N * ceil_div(c.OH, 4) * ceil_div(c.OW, 4) <= strip_tiles(c, lanes);
    return vectors == 4 || one_strip ? min64(vectors, 2) : min64(vectors, 3);
  }
  static int64_t strip_tiles(const WinogradConv& c, int64_t lanes) {
    // dU is read and written for every strip: where it is large, strips are long.
    const int64_t u_bytes = POINT_COUNT * c.C * c.M * int64_t(sizeof(T));
    const int64_t bytes = u_bytes > LARGE_FILTERS ? LONG_STRIP_BYTES : STRIP_BYTES;
    const int64_t fit = bytes / (POINT_COUNT * (c.C + c.M) * int64_t(sizeof(T)));
    return max64(WINOGRAD_PART, min64(STRIP_TILES, fit) / lanes * lanes);
  }
  bool one_strip() const { return input.blocks() == 1 && panels >= MANY_PANELS; }
  int64_t scratch_count() const {
    return max64(input.pixel_scratch(),
                 max64(4 * 4 * input.block * lanes, FilterScatter<T>::CHUNK * 9 * lanes));
  }
  // Where lane order puts tile i of a block.
  int32_t position(int64_t i) const {
    const int64_t in_vector = i % lanes, quarter = lanes / 4;
    return static_cast<int32_t>(i - in_vector + in_vector % quarter * 4 + in_vector / quarter);
  }
};

template <class T>
struct WeightTilesBuffers {
  T *v, *m, *u, *scratch, *bias;
  int64_t scratch_count, bytes;

  WeightTilesBuffers(const WeightAcrossTiles<T>& p, void* base) {
    scratch_count = round_up(p.scratch_count(), CACHE_LINE);
    Workspace workspace(base);
    v = workspace.take<T>(p.input.v_block);
    m = workspace.take<T>(POINT_COUNT * p.m_point);
    u = workspace.take<T>((p.one_strip() ? p.threads : p.panels) * p.u_panel);
    scratch = workspace.take<T>(scratch_count * p.threads);
    bias = workspace.take<T>(p.panels * p.panel);
    bytes = workspace.bytes();
  }
};

// grad_y of a panel to dM, and summed into bias.
template <class T>
void transform_gradient(const WeightAcrossTiles<T>& p, const T* grad_y, int64_t strip,
                        int64_t group, int64_t panel, T* m, T* bias, T* scratch) {
  const WinogradConv& c = p.c;
  const AcrossTiles<T>& grid = p.input;
  const int64_t begin = strip * grid.block, end = min64(grid.tiles, begin + grid.block);
  int32_t position[TileSpan::MOST_TILES];
  for (int64_t i = 0; i < round_up(end - begin, p.lanes); ++i) position[i] = p.position(i);
  T* points = m + panel * p.m_panel;
  const int64_t first = panel * p.panel, past = min64(c.M, first + p.panel);
  for (int64_t t = begin, next; t < end; t = next) {
    const int64_t row = t / grid.tile_columns, column = t % grid.tile_columns;
    next = min64(end, t - column + grid.tile_columns);
    const int64_t oh = row % grid.tile_rows * 4, ow = column * 4;
    for (int64_t channel = first; channel < past; channel += p.lanes) {
      const Rectangle<T> from{
          grad_y + row / grid.tile_rows * c.y.n + (group * c.M + channel) * c.y.c,
          c.y,
          c.OH,
          c.OW,
          min64(p.lanes, c.M - channel),
          oh,
          ow};
      WinogradTiles<T> tiles{};
      tiles.count = next - t;
      tiles.points_out = points + channel - first;
      tiles.point = p.m_point;
      tiles.point_tile = p.panel;
      tiles.position = position + (t - begin);
      pixels_to_points(p.k, p.k.winograd_3x3.output_gradient, from, int64_t(4), int64_t(4), tiles,
                       scratch);
      for (int64_t pixel = 0; pixel < 16 * tiles.count; ++pixel)
        p.k.add(p.lanes, scratch + pixel * p.lanes, bias + channel);
    }
  }
  for (int64_t i = end - begin; i < round_up(end - begin, p.lanes); ++i)
    for (int64_t xi = 0; xi < POINT_COUNT; ++xi) {
      T* nothing = points + xi * p.m_point + position[i] * p.panel;
      std::fill(nothing, nothing + p.panel, T(0));
    }
}

// u[xi] (+)= V[xi]^T dM[xi] for one panel and the tiles of a strip.
template <class T>
void sum_point(const WeightAcrossTiles<T>& p, const WeightTilesBuffers<T>& b, int64_t strip,
               int64_t xi, int64_t panel, bool add, T* u) {
  const AcrossTiles<T>& in = p.input;
  const int64_t channels = min64(p.panel, p.c.M - panel * p.panel);
  const int64_t tiles = round_up(min64(in.block, in.tiles - strip * in.block), p.lanes);
  for (int64_t t = 0; t < tiles; t += WINOGRAD_PART) {
    const bool last = t + WINOGRAD_PART >= tiles;
    PanelProduct<T> product{};
    product.K = min64(WINOGRAD_PART, tiles - t);
    product.a = b.v + xi * in.v_point + t / WINOGRAD_PART * in.v_panel;
    product.b = b.m + xi * p.m_point + panel * p.m_panel + t * p.panel;
    product.b_row = p.panel;
    product.c = u + xi * p.u_point;
    product.c_row = p.panel;
    product.add = add || t > 0;
    product.next_a = last ? b.v + xi * in.v_point : product.a + in.v_panel;
    product.next_b =
        last ? product.b - t * p.panel + p.m_panel : product.b + WINOGRAD_PART * p.panel;
    multiply_panel<T, false>(p.k, ceil_div(channels, p.lanes), p.c.C, product);
  }
}

template <class T>
void run_group(const WeightAcrossTiles<T>& p, const WeightTilesBuffers<T>& b,
               const BackwardWeightBuffers<T>& io, int64_t group) {
  const WinogradConv& c = p.c;
  const int64_t inputs = ceil_div(c.C, p.CHANNELS), outputs = p.panels;
  std::fill(b.bias, b.bias + p.panels * p.panel, T(0));
  for (int64_t strip = 0; strip < p.input.blocks(); ++strip) {
    parallel_jobs(p.threads, inputs + outputs, [&](int64_t job, int thread) {
      PhaseClock clock(p.seconds, thread);
      T* scratch = b.scratch + thread * b.scratch_count;
      if (job < outputs)
        transform_gradient(p, io.grad_y, strip, group, job, b.m, b.bias, scratch);
      else
        p.input.transform_input(io.x, strip, group, (job - outputs) * p.CHANNELS,
                                min64(c.C, (job - outputs + 1) * p.CHANNELS), b.v, scratch);
      clock.stamp(job < outputs ? OUTPUT_TRANSFORM : INPUT_TRANSFORM);
    });
    if (p.one_strip()) break;
    parallel_jobs(p.threads, POINT_COUNT, [&](int64_t xi, int thread) {
      PhaseClock clock(p.seconds, thread);
      for (int64_t panel = 0; panel < p.panels; ++panel)
        sum_point(p, b, strip, xi, panel, strip > 0, b.u + panel * p.u_panel);
      clock.stamp(PRODUCT);
    });
  }
  const FilterScatter<T> filters{c, p.k, p.k.winograd_3x3, p.lanes, p.panel, p.u_point};
  if (p.one_strip())
    parallel_jobs(p.threads, p.panels, [&](int64_t panel, int thread) {
      PhaseClock clock(p.seconds, thread);
      T* u = b.u + thread * p.u_panel;
      for (int64_t xi = 0; xi < POINT_COUNT; ++xi) sum_point(p, b, 0, xi, panel, false, u);
      clock.stamp(PRODUCT);
      for (int64_t chunk = 0; chunk < filters.chunks(); ++chunk)
        filters.finish(u, io.grad_w, group, panel, chunk, b.scratch + thread * b.scratch_count);
      clock.stamp(FILTER_TRANSFORM);
    });
  else
    parallel_jobs(p.threads, p.panels * filters.chunks(), [&](int64_t job, int thread) {
      PhaseClock clock(p.seconds, thread);
      const int64_t panel = job / filters.chunks();
      filters.finish(b.u + panel * p.u_panel, io.grad_w, group, panel, job % filters.chunks(),
                     b.scratch + thread * b.scratch_count);
      clock.stamp(FILTER_TRANSFORM);
    });
  if (io.grad_bias) std::copy(b.bias, b.bias + c.M, io.grad_bias + group * c.M);
}

}  // namespace fastconv::cpu
