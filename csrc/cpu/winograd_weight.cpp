// Winograd, backward_weight (arrays: winograd.h). Layer: cpu, driver.
//
//   strip          at most STRIP_BYTES of V and dM, so that memory does not grow with the batch
//     tile row     parallel; x and grad_y to points
//     xi           parallel; V[xi] stays in L2
//       panel      dU[xi] += V[xi]^T dM[xi]
//         t        SUM_TILES at a time: a panel of dM stays in L1 while the channels pass by
//   filter         parallel; points to taps
// Where all tiles fit one strip (large filters, small maps) a panel goes through all 36 xi and to
// its taps in one job, so that dU never leaves L2.
// A sum over the tiles of a strip is made in registers and added to those of the strips before: long
// sums are sums of shorter ones, and no bit depends on the number of threads. grad_bias is summed
// from the gathered rows of grad_y.
#include "parallel.h"
#include "winograd.h"
#include "winograd_tiles.h"
#include "winograd_weight_across_tiles.h"
#include "winograd_weight_filters.h"
#include "workspace.h"

namespace fastconv::cpu {
namespace {

constexpr int64_t STRIP_BYTES = int64_t(8) << 20;  // with dU within reach of the L3
constexpr int64_t STRIP_TILES = 448;               // beyond, sums get long for nothing
constexpr int64_t SUM_TILES = 64;                  // 8 KiB of a panel of dM
constexpr int64_t MANY_PANELS = 8;

template <class T>
struct Plan {
  const WinogradConv& c;
  const Kernels<T>& k;
  const WinogradKernels<T>& transforms;
  int threads;
  WinogradSeconds* seconds;
  int64_t lanes, panel, panels;
  int64_t parts;  // of the channels of V
  TileGrid grid;
  int64_t v_part, v_point, m_point, m_panel, u_point, u_panel;

  Plan(const WinogradConv& conv, int wanted_threads, WinogradSeconds* phases = nullptr)
      : c(conv),
        k(kernels_for<T>(conv.M)),
        transforms(conv.K == 3 ? k.winograd_3x3 : k.winograd_5x5),
        threads(wanted_threads),
        seconds(phases),
        lanes(k.lanes),
        panel(panel_channels<T>(conv, lanes)),
        panels(ceil_div(conv.M, panel)),
        parts(ceil_div(conv.C, WINOGRAD_PART)),
        grid(conv, clamp64(STRIP_BYTES / (POINT_COUNT * (parts * WINOGRAD_PART + panels * panel) *
                                          int64_t(sizeof(T))),
                           1, STRIP_TILES)) {
    v_part = grid.block_tiles() * WINOGRAD_PART;
    v_point = parts * v_part + line();
    m_panel = grid.block_tiles() * panel + line();
    m_point = panels * m_panel;
    u_point = c.C * panel + line();
    u_panel = POINT_COUNT * u_point;
  }
  // A line more than needed keeps the 36 points of one tile out of one cache set.
  static constexpr int64_t line() { return CACHE_LINE / int64_t(sizeof(T)); }
  // All tiles in one strip, and panels enough to share: dU of a panel then stays in L2 until it is
  // written.
  bool one_strip() const { return grid.blocks() == 1 && panels >= MANY_PANELS; }
  int64_t gathered_width() const {
    return grid.block_columns * grid.out + WINOGRAD_POINTS - grid.out;
  }
  int64_t scratch_count() const {
    return max64(WINOGRAD_POINTS * gathered_width() * lanes,
                 FilterScatter<T>::CHUNK * c.K * c.K * lanes);
  }
};

template <class T>
struct Buffers {
  T *v, *m, *u, *scratch, *bias;
  int64_t bytes;

  Buffers(const Plan<T>& p, void* base) {
    Workspace workspace(base);
    v = workspace.take<T>(POINT_COUNT * p.v_point);
    m = workspace.take<T>(POINT_COUNT * p.m_point);
    u = workspace.take<T>((p.one_strip() ? p.threads : p.panels) * p.u_panel);
    scratch = workspace.take<T>(p.scratch_count() * p.threads);
    bias = workspace.take<T>((p.grid.block_rows + 1) * p.panels * p.panel);  // per row, and all
    bytes = workspace.bytes();
  }
};

// Also sums the row for grad_bias, into bias[panels * panel].
template <class T>
void transform_gradient_row(const Plan<T>& p, const T* grad_y, const TileBlock& strip,
                            int64_t group, int64_t i, T* m, T* bias, T* scratch) {
  const WinogradConv& c = p.c;
  const RowPlace at = place(p.grid, strip, i);
  const int64_t pixels = p.grid.out * strip.columns * p.grid.out;
  std::fill(bias, bias + p.panels * p.panel, T(0));
  for (int64_t channel = 0; channel < c.M; channel += p.lanes) {
    const Rectangle<T> from{grad_y + at.n * c.y.n + (group * c.M + channel) * c.y.c,
                            c.y,
                            c.OH,
                            c.OW,
                            min64(p.lanes, c.M - channel),
                            at.oh,
                            at.ow};
    WinogradTiles<T> tiles{};
    tiles.count = strip.columns;
    tiles.points_out =
        m + channel / p.panel * p.m_panel + i * strip.columns * p.panel + channel % p.panel;
    tiles.point = p.m_point;
    tiles.point_tile = p.panel;
    pixels_to_points(p.k, p.transforms.output_gradient, from, p.grid.out, p.grid.out, tiles,
                     scratch);
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
      p.k.add(p.lanes, scratch + pixel * p.lanes, bias + channel);
  }
}

// u[xi] (+)= V[xi]^T dM[xi] for one panel, SUM_TILES at a time: that much of dM stays in L1 while
// the channels pass by.
template <class T>
void sum_point(const Plan<T>& p, const Buffers<T>& b, int64_t tiles, int64_t xi, int64_t panel,
               bool add, T* u) {
  const int64_t channels = min64(p.panel, p.c.M - panel * p.panel);
  const T* v = b.v + xi * p.v_point;
  for (int64_t t = 0; t < tiles; t += SUM_TILES)
    for (int64_t part = 0; part < p.parts; ++part) {
      PanelProduct<T> product{};
      product.K = min64(SUM_TILES, tiles - t);
      product.a = v + part * p.v_part + t * WINOGRAD_PART;
      product.b = b.m + xi * p.m_point + panel * p.m_panel + t * p.panel;
      product.b_row = p.panel;
      product.c = u + xi * p.u_point + part * WINOGRAD_PART * p.panel;
      product.c_row = p.panel;
      product.add = add || t > 0;
      product.next_a = part + 1 < p.parts      ? product.a + p.v_part
                       : t + SUM_TILES < tiles ? v + (t + SUM_TILES) * WINOGRAD_PART
                                               : v;
      product.next_b = product.b;
      multiply_panel<T, true>(p.k, ceil_div(channels, p.lanes),
                              min64(WINOGRAD_PART, p.c.C - part * WINOGRAD_PART), product);
    }
}

template <class T>
void run_group(const Plan<T>& p, const Buffers<T>& b, const BackwardWeightBuffers<T>& io,
               int64_t group) {
  const WinogradConv& c = p.c;
  const int64_t width = p.panels * p.panel;
  T* total = b.bias + p.grid.block_rows * width;
  std::fill(total, total + width, T(0));
  for (int64_t index = 0; index < p.grid.blocks(); ++index) {
    const TileBlock strip = p.grid.block(index);
    parallel_jobs(p.threads, 2 * strip.rows, [&](int64_t job, int thread) {
      PhaseClock clock(p.seconds, thread);
      T* scratch = b.scratch + thread * p.scratch_count();
      if (job % 2)
        for (int64_t channel = 0; channel < c.C; channel += p.lanes)
          input_to_points(p, io.x, strip, group, job / 2, channel, b.v, scratch);
      else
        transform_gradient_row(p, io.grad_y, strip, group, job / 2, b.m, b.bias + job / 2 * width,
                               scratch);
      clock.stamp(job % 2 ? INPUT_TRANSFORM : OUTPUT_TRANSFORM);
    });
    for (int64_t i = 0; i < strip.rows; ++i) p.k.add(width, b.bias + i * width, total);
    if (p.one_strip()) break;
    parallel_jobs(p.threads, POINT_COUNT, [&](int64_t xi, int thread) {
      PhaseClock clock(p.seconds, thread);
      for (int64_t panel = 0; panel < p.panels; ++panel)
        sum_point(p, b, strip.tiles(), xi, panel, index > 0, b.u + panel * p.u_panel);
      clock.stamp(PRODUCT);
    });
  }
  const FilterScatter<T> filters{c, p.k, p.transforms, p.lanes, p.panel, p.u_point};
  if (p.one_strip())
    parallel_jobs(p.threads, p.panels, [&](int64_t panel, int thread) {
      PhaseClock clock(p.seconds, thread);
      T* u = b.u + thread * p.u_panel;
      for (int64_t xi = 0; xi < POINT_COUNT; ++xi)
        sum_point(p, b, p.grid.block(0).tiles(), xi, panel, false, u);
      clock.stamp(PRODUCT);
      for (int64_t chunk = 0; chunk < filters.chunks(); ++chunk)
        filters.finish(u, io.grad_w, group, panel, chunk, b.scratch + thread * p.scratch_count());
      clock.stamp(FILTER_TRANSFORM);
    });
  else
    parallel_jobs(p.threads, p.panels * filters.chunks(), [&](int64_t job, int thread) {
      PhaseClock clock(p.seconds, thread);
      const int64_t panel = job / filters.chunks();
      filters.finish(b.u + panel * p.u_panel, io.grad_w, group, panel, job % filters.chunks(),
                     b.scratch + thread * p.scratch_count());
      clock.stamp(FILTER_TRANSFORM);
    });
  if (io.grad_bias) std::copy(total, total + c.M, io.grad_bias + group * c.M);
}

}  // namespace

template <class T>
int64_t winograd_weight_workspace_bytes(const WinogradConv& conv, int threads) {
  if (WeightAcrossTiles<T>::takes(conv))
    return WeightTilesBuffers<T>(WeightAcrossTiles<T>(conv, threads, nullptr), nullptr).bytes;
  return Buffers<T>(Plan<T>(conv, threads), nullptr).bytes;
}

template <class T>
void winograd_weight(const WinogradConv& conv, const BackwardWeightBuffers<T>& buffers,
                     void* workspace, int threads, WinogradSeconds* seconds) {
  if (WeightAcrossTiles<T>::takes(conv)) {
    const WeightAcrossTiles<T> p(conv, threads, seconds);
    const WeightTilesBuffers<T> b(p, workspace);
    for (int64_t group = 0; group < conv.groups; ++group) run_group(p, b, buffers, group);
    return;
  }
  const Plan<T> p(conv, threads, seconds);
  const Buffers<T> b(p, workspace);
  for (int64_t group = 0; group < conv.groups; ++group) run_group(p, b, buffers, group);
}

#define INSTANTIATE(T)                                                                            \
  template int64_t winograd_weight_workspace_bytes<T>(const WinogradConv&, int);                  \
  template void winograd_weight(const WinogradConv&, const BackwardWeightBuffers<T>&, void*, int, \
                                WinogradSeconds*);
INSTANTIATE(float)
INSTANTIATE(double)

}  // namespace fastconv::cpu
