// GEMM convolution, forward and backward_input (formula: patches.h). Layer: cpu/gemm, driver.
#include <cstring>

#include "../../core/dtype.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "gemm.h"
#include "patches.h"
#include "product.h"
#include "weights.h"

namespace fastconv::cpu {
namespace {

// Loops, outermost first, and the data of each:
//   group, block of pixels, share of M   parallel; c[m][p] of the block is in L2
//     chunk of terms                     packs the patches of the block, in L2
//       strip of M                       its weights of the chunk are in L2
//         panel                          patches of one panel, in L1
//           register tile                pixel lanes: 4 or 8 channels m times 3 vectors of pixels
//   then c goes to y, with the bias.
// With channel lanes M and pixels trade places: panels are packed weights, and a register tile is 4
// or 8 pixels times 3 vectors of channels. y with channels last is written by whole vectors so.
constexpr int64_t PANEL_BYTES = 24 * 1024;  // three quarters of a 32 KiB L1
constexpr int64_t BLOCK_PIXELS = 192;       // patches of a chunk and c[512][p] fit a 1 MiB L2
constexpr int64_t M_SHARE = 512;            // the most channels of a job
constexpr int64_t M_UNIT = 16;              // shares of M are multiples of register tiles
constexpr int64_t M_STRIP = 64;             // 64 KiB of weights
constexpr int64_t LEAST_JOBS = 8;           // enough for a few threads to share evenly

template <class T>
struct GemmSchedule {
  const Correlation& s;
  const ProductKernels<T>& k = product_kernels<T>(isa());
  const RowKernels<T>& rows = row_kernels<T>(isa());
  int threads;
  int64_t lanes, panel;  // elements of a vector, the most elements of a panel
  bool channel_lanes;
  Terms terms;
  TermChunks chunks;
  int64_t longest;  // terms of the longest chunk
  int64_t pixels, block, blocks;
  PanelCut panels;       // of M, with channel lanes
  int64_t m_shares;      // jobs that share M
  bool pack_weights;  // pixel lanes: the rows of w are packed

  GemmSchedule(const Correlation& correlation, int wanted_threads)
      : s(correlation),
        lanes(rows.lanes),
        panel(ProductKernels<T>::STRIDED_VECTORS * lanes),
        channel_lanes(s.y.c == 1 && s.M > 1),
        terms{s.C, s.h.taps * s.w.taps, !channel_lanes},
        chunks(terms, min64(LONGEST_SUM, PANEL_BYTES / int64_t(sizeof(T)) / panel)),
        panels(s.M, lanes, ProductKernels<T>::STRIDED_VECTORS) {
    longest = 0;
    for (int64_t i = 0; i < chunks.count(); ++i) longest = max64(longest, chunks[i].count);
    pixels = s.N * s.h.outputs * s.w.outputs;
    block = min64(BLOCK_PIXELS, round_up(pixels, channel_lanes ? 8 : panel));
    blocks = ceil_div(pixels, block);
    const int64_t units = channel_lanes ? panels.panels : ceil_div(s.M, M_UNIT);
    const int64_t wanted = LEAST_JOBS / max64(1, blocks * s.groups);
    m_shares = clamp64(max64(wanted, ceil_div(s.M, M_SHARE)), 1, max64(1, units));
    threads = threads_for(pixels * s.groups * s.M * max64(1, terms.count()), wanted_threads);
    pack_weights = !weight_rows_in_place(s, terms);
  }
  int64_t jobs() const { return s.groups * blocks * m_shares; }
  // The first channel of a share, a multiple of a panel or of M_UNIT.
  int64_t share_first(int64_t share) const {
    if (channel_lanes) return panels.first(share * panels.panels / m_shares);
    return min64(s.M, share * ceil_div(s.M, M_UNIT) / m_shares * M_UNIT);
  }
  int64_t most_of_share() const {
    int64_t most = 0;
    for (int64_t i = 0; i < m_shares; ++i) most = max64(most, share_first(i + 1) - share_first(i));
    return most;
  }
  int64_t c_row() const { return channel_lanes ? most_of_share() : round_up(block, panel); }
  int64_t c_count() const { return (channel_lanes ? block : most_of_share()) * c_row(); }
  int64_t patch_count() const { return (channel_lanes ? block : round_up(block, panel)) * longest; }
  int64_t weight_count() const {
    if (channel_lanes) return panels.first(panels.panels) * terms.count();
    return pack_weights ? s.M * terms.count() : 0;
  }
};

template <class T>
struct GemmArrays {
  T* weights;    // [groups] packed: [panels][k][panel], or [m][k]
  T* scratch;    // [threads]: patches, c
  int64_t scratch_count, c_offset;
  PatchTables tables;
  int64_t bytes;

  GemmArrays(const GemmSchedule<T>& p, void* base) : GemmArrays(p, Workspace(base)) {}
  GemmArrays(const GemmSchedule<T>& p, Workspace workspace)
      : tables(p.s, p.panel, p.threads, workspace) {
    weights = workspace.take<T>(p.s.groups * p.weight_count());
    c_offset = round_up(p.patch_count(), CACHE_LINE);
    scratch_count = round_up(c_offset + p.c_count(), CACHE_LINE);
    scratch = workspace.take<T>(p.threads * scratch_count);
    bytes = workspace.bytes();
  }
};

// Packs the weights of one group, a share of them a job.
template <class T>
void pack_all_weights(const GemmSchedule<T>& p, const GemmArrays<T>& b, const T* weight) {
  const Correlation& s = p.s;
  const int64_t shares = p.channel_lanes ? p.panels.panels : ceil_div(s.M, M_UNIT);
  if (p.weight_count() == 0) return;
  parallel_jobs(p.threads, s.groups * shares, [&](int64_t job, int) {
    const int64_t group = job / shares, share = job % shares;
    const int64_t m = p.channel_lanes ? p.panels.first(share) : share * M_UNIT;
    const T* from = weight + group * s.weight_group + m * s.weight.n;
    T* to = b.weights + group * p.weight_count() + m * p.terms.count();
    if (p.channel_lanes)
      pack_weight_panel(p.rows, s, p.terms, from, p.panels.columns(share), to);
    else
      pack_weight_rows(p.rows, s, p.terms, from, min64(M_UNIT, s.M - m), to);
  });
}

// Writes c of a block to y, and adds the bias.
template <class T>
void write_block(const GemmSchedule<T>& p, const T* c, const T* bias, T* y, int64_t m, int64_t M,
                 int64_t p0, int64_t count) {
  const Correlation& s = p.s;
  const int64_t c_m = p.channel_lanes ? 1 : p.c_row(), c_p = p.channel_lanes ? p.c_row() : 1;
  y += m * s.y.c;
  if (bias) bias += m;
  const bool dense = s.y.h == s.w.outputs * s.y.w;  // rows of an image follow each other
  const int64_t image = s.h.outputs * s.w.outputs;
  const auto write = [&](const T* from, T* to, int64_t pixels) {
    if (p.channel_lanes && s.y.c == 1)
      return p.k.write_rows(RowsOut<T>{pixels, M, from, c_p, nullptr, bias, to, s.y.w});
    if (!p.channel_lanes && s.y.w == 1)
      return p.k.write_rows(RowsOut<T>{M, pixels, from, c_m, bias, nullptr, to, s.y.c});
    for (int64_t i = 0; i < M; ++i)
      for (int64_t q = 0; q < pixels; ++q)
        to[i * s.y.c + q * s.y.w] = from[i * c_m + q * c_p] + (bias ? bias[i] : T(0));
  };
  if (dense) {
    for (int64_t at = 0, length = 0; at < count; at += length) {
      const int64_t n = (p0 + at) / image, q = (p0 + at) % image;
      length = min64(image - q, count - at);
      write(c + at * c_p, y + n * s.y.n + q * s.y.w, length);
    }
    return;
  }
  for_each_run(s, p0, count, [&](const PixelRun& run, int64_t at) {
    write(c + at * c_p, y + run.n * s.y.n + run.i * s.y.h + run.j * s.y.w, run.count);
  });
}

template <class T>
void multiply_block(const GemmSchedule<T>& p, const GemmArrays<T>& b, const T* x, const T* weight,
                    const T* bias, T* y, int64_t job, int thread) {
  const Correlation& s = p.s;
  const int64_t group = job / (p.blocks * p.m_shares);
  const int64_t p0 = job / p.m_shares % p.blocks * p.block, count = min64(p.block, p.pixels - p0);
  const int64_t share = job % p.m_shares, m = p.share_first(share);
  const int64_t M = min64(p.share_first(share + 1), s.M) - m;
  const int64_t K = p.terms.count();
  T* patches = b.scratch + thread * b.scratch_count;
  T* c = patches + b.c_offset;
  x += group * s.C * s.x.c;
  y += group * s.M * s.y.c;
  if (bias) bias += group * s.M;
  if (K == 0) std::memset(static_cast<void*>(c), 0, p.c_count() * sizeof(T));
  for (int64_t i = 0; i < p.chunks.count(); ++i) {
    const TermChunk chunk = p.chunks[i];
    StridedProduct<T> product{chunk.count, nullptr, 0, 1, nullptr, 0, nullptr, p.c_row(), i > 0};
    if (p.channel_lanes) {
      const int64_t width = chunk.count;
      pack_pixel_rows(s, b.tables, chunk, x, p0, count, width, patches);
      product.a = patches;
      product.a_row = width;
      const int64_t last = (share + 1) * p.panels.panels / p.m_shares;
      for (int64_t i = share * p.panels.panels / p.m_shares; i < last; ++i) {
        product.b_row = p.panels.width(i);
        product.b = b.weights + group * p.weight_count() + p.panels.first(i) * K +
                    chunk.k * product.b_row;
        product.c = c + p.panels.first(i) - m;
        multiply_strided(p.k, product.b_row / p.lanes, count, product);
      }
      continue;
    }
    for (int64_t at = 0; at < count; at += p.panel) {
      const int64_t pixels = min64(p.panel, count - at), padded = round_up(pixels, p.lanes);
      pack_term_rows(p.k, s, b.tables, chunk, x, p0 + at, pixels, padded, padded,
                     patches + at * chunk.count, thread);
    }
    const T* a = p.pack_weights ? b.weights + group * p.weight_count()
                                : weight + group * s.weight_group;
    product.a_row = p.pack_weights ? K : s.weight.n;
    for (int64_t strip = 0; strip < M; strip += M_STRIP)
      for (int64_t at = 0; at < count; at += p.panel) {
        product.a = a + (m + strip) * product.a_row + chunk.k;
        product.b = patches + at * chunk.count;
        product.c = c + strip * p.c_row() + at;
        const int64_t vectors = ceil_div(min64(p.panel, count - at), p.lanes);
        product.b_row = vectors * p.lanes;
        multiply_strided(p.k, vectors,
                         min64(M_STRIP, M - strip), product);
      }
  }
  write_block(p, c, bias, y, m, M, p0, count);
}

}  // namespace

template <class T>
int64_t gemm_workspace_bytes(const Correlation& s, int threads) {
  return GemmArrays<T>(GemmSchedule<T>(s, threads), nullptr).bytes;
}

template <class T>
void gemm_correlate(const Correlation& s, const T* x, const T* weight, const T* bias, T* y,
                    void* workspace, int threads) {
  const GemmSchedule<T> p(s, threads);
  const GemmArrays<T> b(p, workspace);
  b.tables.fill(s);
  pack_all_weights(p, b, weight);
  parallel_jobs(p.threads, p.jobs(), [&](int64_t job, int thread) {
    multiply_block(p, b, x, weight, bias, y, job, thread);
  });
}

#define INSTANTIATE(T)                                                                      \
  template int64_t gemm_workspace_bytes<T>(const Correlation&, int);                        \
  template void gemm_correlate(const Correlation&, const T*, const T*, const T*, T*, void*, \
                               int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
