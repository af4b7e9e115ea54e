// Winograd, forward and backward_input (arrays: winograd.h). Layer: cpu, driver.
//
// Two schedules of the same arithmetic. In both a block is BLOCK_TILES tiles:
//
// Filters shared (small filters): U is transformed once and stays in L3.
//   block        parallel; V of the block, all channels, stays in L2
//     panels     of M: CHUNK_CHANNELS at a time
//       xi       U[xi] of the panels streams from L2 / L3
//         part   of c: sums of sums round less, and the panel of U is in L1
//       tile row transformed back and written
//
// Filters private (U would not stay in cache, or too few tiles to share them among): V of up to
// SHARED_INPUT_BYTES is transformed first; then
//   panel        parallel; transforms its filters and keeps them in L2
//     block      as above
//
// Filters that are ready (cached by the caller) change neither: what is private then comes from
// memory, and stays in L2 all the same.
#include "winograd.h"

#include "parallel.h"
#include "winograd_tiles.h"
#include "workspace.h"

namespace fastconv::cpu {
namespace {

constexpr int64_t BLOCK_TILES = 42;  // 3 register tiles; measured, see docs/performance-log.md
constexpr int64_t BLOCK_BYTES = int64_t(4) << 20;  // of V at most, where channels are very many
constexpr int64_t CHUNK_CHANNELS = 64;
constexpr int64_t FILTER_CHUNK = 16;  // input channels whose filters are gathered at a time
constexpr int64_t SHARED_FILTER_BYTES = int64_t(8) << 20;
constexpr int64_t SHARED_INPUT_BYTES = int64_t(32) << 20;
constexpr int64_t FEW_BLOCKS = 4;

template <class T>
struct Plan {
  const WinogradConv& c;
  const Kernels<T>& k;
  const WinogradKernels<T>& transforms;
  int threads;
  WinogradSeconds* seconds;
  TileGrid grid;
  int64_t lanes, panel, panels;      // channels of a vector and of a panel; panels of a group
  int64_t v_part, v_point, v_block;  // elements of V between parts, points, blocks
  int64_t u_point, u_panel;
  int64_t chunk, m_point, m_panel;  // panels per chunk
  bool filters_private;
  int64_t super_blocks;  // blocks whose V is there at a time, with private filters

  Plan(const WinogradConv& conv, int wanted_threads, WinogradSeconds* phases = nullptr)
      : c(conv),
        k(kernels_for<T>(conv.M)),
        transforms(conv.K == 3 ? k.winograd_3x3 : k.winograd_5x5),
        threads(wanted_threads),
        seconds(phases),
        grid(conv,
             clamp64(BLOCK_BYTES / (POINT_COUNT * conv.C * int64_t(sizeof(T))), 1, BLOCK_TILES)),
        lanes(k.lanes) {
    const int64_t line = CACHE_LINE / int64_t(sizeof(T));
    panel = panel_channels<T>(c, lanes);
    panels = ceil_div(c.M, panel);
    // A line more than needed keeps the 36 points of one tile out of one cache set.
    v_part = grid.block_tiles() * WINOGRAD_PART;
    v_point = ceil_div(c.C, WINOGRAD_PART) * v_part + line;
    v_block = POINT_COUNT * v_point;
    u_point = c.C * panel + line;
    u_panel = POINT_COUNT * u_point;
    m_panel = grid.block_tiles() * panel + line;
    filters_private =
        panels * u_panel * int64_t(sizeof(T)) > SHARED_FILTER_BYTES || grid.blocks() < FEW_BLOCKS;
    chunk = filters_private ? 1 : min64(panels, max64(1, CHUNK_CHANNELS / panel));
    m_point = chunk * m_panel;
    super_blocks = clamp64(SHARED_INPUT_BYTES / (v_block * int64_t(sizeof(T))), 1, grid.blocks());
  }
  int64_t gathered_width() const {
    return grid.block_columns * grid.out + WINOGRAD_POINTS - grid.out;
  }
  int64_t scratch_count() const {
    return max64(WINOGRAD_POINTS * gathered_width() * lanes, FILTER_CHUNK * c.K * c.K * lanes);
  }
  int64_t u_count() const { return c.groups * panels * u_panel; }
};

template <class T>
struct Buffers {
  T *v, *u, *m, *scratch, *bias;
  int64_t bytes;

  Buffers(const Plan<T>& p, bool ready_filters, void* base) {
    Workspace workspace(base);
    v = workspace.take<T>(p.v_block * (p.filters_private ? p.super_blocks : p.threads));
    u = workspace.take<T>(ready_filters       ? 0
                          : p.filters_private ? p.u_panel * p.threads
                                              : p.u_count());
    m = workspace.take<T>(POINT_COUNT * p.m_point * p.threads);
    scratch = workspace.take<T>(p.scratch_count() * p.threads);
    bias = workspace.take<T>(p.c.groups * p.panels * p.panel);
    bytes = workspace.bytes();
  }
};

// What a thread has for itself, from the begin of a job.
template <class T>
struct Own {
  T *m, *scratch;
  PhaseClock clock;

  Own(const Plan<T>& p, const Buffers<T>& b, int thread)
      : m(b.m + thread * POINT_COUNT * p.m_point),
        scratch(b.scratch + thread * p.scratch_count()),
        clock(p.seconds, thread) {}
};

template <class T>
void transform_input(const Plan<T>& p, const T* x, const TileBlock& block, int64_t group, T* v,
                     Own<T>& own) {
  for (int64_t channel = 0; channel < p.c.C; channel += p.lanes)
    for (int64_t i = 0; i < block.rows; ++i)
      input_to_points(p, x, block, group, i, channel, v, own.scratch);
  own.clock.stamp(INPUT_TRANSFORM);
}

// U of one panel.
template <class T>
void transform_filters(const Plan<T>& p, const T* w, int64_t group, int64_t panel, T* u,
                       Own<T>& own) {
  const WinogradConv& c = p.c;
  const int64_t end = min64(c.M, (panel + 1) * p.panel);
  for (int64_t m = panel * p.panel; m < end; m += p.lanes)
    for (int64_t channel = 0; channel < c.C; channel += FILTER_CHUNK) {
      WinogradTiles<T> tiles{};
      tiles.count = min64(FILTER_CHUNK, c.C - channel);
      gather_filters(p.k, c, w + group * c.w_group + m * c.w.n + channel * c.w.c,
                     min64(p.lanes, end - m), tiles.count, own.scratch);
      tiles.pixels_in = own.scratch;
      tiles.pixel_row = c.K * p.lanes;
      tiles.pixel_tile = c.K * c.K * p.lanes;
      tiles.points_out = u + channel * p.panel + m % p.panel;
      tiles.point = p.u_point;
      tiles.point_tile = p.panel;
      p.transforms.filter(tiles);
    }
  own.clock.stamp(FILTER_TRANSFORM);
}

template <class T>
void transform_all_filters(const Plan<T>& p, const Buffers<T>& b, const T* w, T* u) {
  parallel_jobs(p.threads, p.c.groups * p.panels, [&](int64_t job, int thread) {
    Own<T> own(p, b, thread);
    transform_filters(p, w, job / p.panels, job % p.panels, u + job * p.u_panel, own);
  });
}

// Multiplies V of a block by `count` panels of U and writes their outputs. io.bias: [group][panels *
// panel], or null.
template <class T>
void multiply_block(const Plan<T>& p, const WinogradBuffers<T>& io, const TileBlock& block,
                    int64_t group, const T* v, const T* u, int64_t first_panel, int64_t count,
                    Own<T>& own) {
  const WinogradConv& c = p.c;
  const int64_t end = min64(c.M, (first_panel + count) * p.panel);
  for (int64_t xi = 0; xi < POINT_COUNT; ++xi)
    for (int64_t channel = 0; channel < c.C; channel += WINOGRAD_PART)
      for (int64_t i = 0; i < count; ++i) {
        const int64_t channels = min64(p.panel, c.M - (first_panel + i) * p.panel);
        PanelProduct<T> product{};
        product.K = min64(WINOGRAD_PART, c.C - channel);
        product.a = v + xi * p.v_point + channel / WINOGRAD_PART * p.v_part;
        product.b = u + i * p.u_panel + xi * p.u_point + channel * p.panel;
        product.b_row = p.panel;
        product.c = own.m + xi * p.m_point + i * p.m_panel;
        product.c_row = p.panel;
        product.add = channel > 0;
        product.next = i + 1 < count                   ? product.a
                       : channel + WINOGRAD_PART < c.C ? product.a + p.v_part
                                                       : v + (xi + 1) % POINT_COUNT * p.v_point;
        multiply_panel<T, false>(p.k, static_cast<int>(ceil_div(channels, p.lanes)), block.tiles(),
                                 product);
      }
  own.clock.stamp(PRODUCT);

  const int64_t width = block.columns * p.grid.out;
  for (int64_t channel = first_panel * p.panel; channel < end; channel += p.lanes)
    for (int64_t i = 0; i < block.rows; ++i) {
      const RowPlace at = place(p.grid, block, i);
      const int64_t in_chunk = channel - first_panel * p.panel;
      WinogradTiles<T> tiles{};
      tiles.count = block.columns;
      tiles.points_in =
          own.m + in_chunk / p.panel * p.m_panel + i * block.columns * p.panel + in_chunk % p.panel;
      tiles.point = p.m_point;
      tiles.point_tile = p.panel;
      tiles.pixels_out = own.scratch;
      tiles.pixel_row = width * p.lanes;
      tiles.pixel_tile = p.grid.out * p.lanes;
      tiles.bias = io.bias ? io.bias + group * p.panels * p.panel + channel : nullptr;
      p.transforms.output(tiles);
      scatter_pixels(
          p.k, own.scratch, width, min64(p.grid.out, c.OH - at.oh), min64(width, c.OW - at.ow),
          min64(p.lanes, c.M - channel), c.y,
          io.y + at.n * c.y.n + (group * c.M + channel) * c.y.c + at.oh * c.y.h + at.ow * c.y.w);
    }
  own.clock.stamp(OUTPUT_TRANSFORM);
}

template <class T>
void run_shared(const Plan<T>& p, const Buffers<T>& b, const WinogradBuffers<T>& io) {
  const int64_t blocks = p.grid.blocks();
  if (!io.filters) transform_all_filters(p, b, io.w, b.u);
  const T* u = io.filters ? io.filters : b.u;
  parallel_jobs(p.threads, p.c.groups * blocks, [&](int64_t job, int thread) {
    Own<T> own(p, b, thread);
    const int64_t group = job / blocks;
    const TileBlock block = p.grid.block(job % blocks);
    T* v = b.v + thread * p.v_block;
    transform_input(p, io.x, block, group, v, own);
    for (int64_t panel = 0; panel < p.panels; panel += p.chunk)
      multiply_block(p, io, block, group, v, u + (group * p.panels + panel) * p.u_panel, panel,
                     min64(p.chunk, p.panels - panel), own);
  });
}

template <class T>
void run_private(const Plan<T>& p, const Buffers<T>& b, const WinogradBuffers<T>& io) {
  for (int64_t group = 0; group < p.c.groups; ++group)
    for (int64_t first = 0; first < p.grid.blocks(); first += p.super_blocks) {
      const int64_t blocks = min64(p.super_blocks, p.grid.blocks() - first);
      parallel_jobs(p.threads, blocks, [&](int64_t job, int thread) {
        Own<T> own(p, b, thread);
        transform_input(p, io.x, p.grid.block(first + job), group, b.v + job * p.v_block, own);
      });
      parallel_jobs(p.threads, p.panels, [&](int64_t panel, int thread) {
        Own<T> own(p, b, thread);
        T* transformed = b.u + thread * p.u_panel;
        if (!io.filters) transform_filters(p, io.w, group, panel, transformed, own);
        const T* u = io.filters ? io.filters + (group * p.panels + panel) * p.u_panel : transformed;
        for (int64_t i = 0; i < blocks; ++i)
          multiply_block(p, io, p.grid.block(first + i), group, b.v + i * p.v_block, u, panel,
                         int64_t(1), own);
      });
    }
}

}  // namespace

template <class T>
int64_t winograd_workspace_bytes(const WinogradConv& conv, int threads, bool ready_filters) {
  return Buffers<T>(Plan<T>(conv, threads), ready_filters, nullptr).bytes;
}

template <class T>
void winograd(const WinogradConv& conv, const WinogradBuffers<T>& buffers, void* workspace,
              int threads, WinogradSeconds* seconds) {
  const Plan<T> p(conv, threads, seconds);
  const Buffers<T> b(p, buffers.filters != nullptr, workspace);
  WinogradBuffers<T> io = buffers;
  if (io.bias) {
    io.bias = b.bias;
    for (int64_t group = 0; group < conv.groups; ++group) {
      T* padded = b.bias + group * p.panels * p.panel;
      std::fill(padded, padded + p.panels * p.panel, T(0));
      std::copy(buffers.bias + group * conv.M, buffers.bias + (group + 1) * conv.M, padded);
    }
  }
  if (p.filters_private)
    run_private(p, b, io);
  else
    run_shared(p, b, io);
}

template <class T>
int64_t winograd_filter_bytes(const WinogradConv& conv) {
  return Plan<T>(conv, 1).u_count() * int64_t(sizeof(T));
}

template <class T>
void winograd_filters(const WinogradConv& conv, const T* w, T* filters, void* workspace,
                      int threads) {
  const Plan<T> p(conv, threads);
  transform_all_filters(p, Buffers<T>(p, true, workspace), w, filters);
}

#define INSTANTIATE(T)                                                               \
  template int64_t winograd_workspace_bytes<T>(const WinogradConv&, int, bool);      \
  template int64_t winograd_filter_bytes<T>(const WinogradConv&);                    \
  template void winograd_filters(const WinogradConv&, const T*, T*, void*, int);     \
  template void winograd(const WinogradConv&, const WinogradBuffers<T>&, void*, int, \
                         WinogradSeconds*);
INSTANTIATE(float)
INSTANTIATE(double)

}  // namespace fastconv::cpu
