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
constexpr int64_t JOBS_PER_THREAD = 2;      // each share of M packs the patches again

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
  PanelCut panels;    // of M, with channel lanes
  int64_t m_shares;   // jobs that share M
  bool pack_weights;  // pixel lanes: the rows of w are packed

  GemmSchedule(const Correlation& correlation, int wanted_threads)
      : s(correlation),
        lanes(rows.lanes),
        panel(ProductKernels<T>::STRIDED_VECTORS * lanes),
        channel_lanes(s.y.c == 1 && s.M > 1),
        terms{s.C, s.h.taps * s.w.taps, !channel_lanes && s.weight.c != 1},
        chunks(terms, min64(LONGEST_SUM, PANEL_BYTES / int64_t(sizeof(T)) / panel)),
        panels(s.M, lanes, ProductKernels<T>::STRIDED_VECTORS) {
    longest = 0;
    for (int64_t i = 0; i < chunks.count(); ++i) longest = max64(longest, chunks[i].count);
    pixels = s.N * s.h.outputs * s.w.outputs;
    block = min64(BLOCK_PIXELS, round_up(pixels, channel_lanes ? 8 : panel));
    blocks = ceil_div(pixels, block);
    const int64_t units = channel_lanes ? panels.panels : ceil_div(s.M, M_UNIT);
    threads = threads_for(pixels * s.groups * s.M * max64(1, terms.count()), wanted_threads);
    const int64_t wanted =
        threads == 1 ? 1 : JOBS_PER_THREAD * threads / max64(1, blocks * s.groups);
    m_shares = clamp64(max64(wanted, ceil_div(s.M, M_SHARE)), 1, max64(1, units));
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
    return pack_weights ? s.M * weight_row() : 0;
  }
  // Elements between the rows of w. Packed rows are not a multiple of 4 KiB apart, which would put
  // them into the same few lines of L1.
  int64_t weight_row() const {
    return pack_weights ? round_up(terms.count(), CACHE_LINE) + 16 : s.weight.n;
  }
  // Sums of all terms are written to y at once, without c, where y has whole vectors of channels.
  bool direct_to_y() const { return channel_lanes && chunks.count() == 1 && s.M % lanes == 0; }
};

template <class T>
struct GemmArrays {
  T* weights;  // [groups] packed: [panels][k][width of the panel], or [m][weight_row]
  T* bias;     // channel lanes: [groups][M in whole vectors]
  T* scratch;  // [threads]: patches, c
  int64_t scratch_count, c_offset;
  PatchTables tables;
  int64_t bytes;

  GemmArrays(const GemmSchedule<T>& p, void* base) : GemmArrays(p, Workspace(base)) {}
  GemmArrays(const GemmSchedule<T>& p, Workspace workspace)
      : tables(p.s, p.panel, p.threads, workspace) {
    weights = workspace.take<T>(p.s.groups * p.weight_count());
    bias = workspace.take<T>(p.channel_lanes ? p.s.groups * p.panels.first(p.panels.panels) : 0);
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
    const int64_t row = p.channel_lanes ? p.terms.count() : p.weight_row();
    T* to = b.weights + group * p.weight_count() + m * row;
    if (p.channel_lanes)
      pack_weight_panel(p.rows, s, p.terms, from, p.panels.columns(share), to);
    else
      pack_weight_rows(p.rows, s, p.terms, from, min64(M_UNIT, s.M - m), to, p.weight_row());
  });
}

// What a job computes: the pixels [p, p + count) and the channels [m, m + M) of a group.
struct GemmJob {
  int64_t group, p, count, share, m, M;

  template <class T>
  GemmJob(const GemmSchedule<T>& of, int64_t job)
      : group(job / (of.blocks * of.m_shares)),
        p(job / of.m_shares % of.blocks * of.block),
        count(min64(of.block, of.pixels - p)),
        share(job % of.m_shares),
        m(of.share_first(share)),
        M(min64(of.share_first(share + 1), of.s.M) - m) {}
};

// Writes c of a block to y.
template <class T>
void write_block(const GemmSchedule<T>& p, const GemmJob& job, const T* c, T* y) {
  const Correlation& s = p.s;
  const int64_t M = job.M, m = job.group * s.M + job.m;
  const int64_t c_m = p.channel_lanes ? 1 : p.c_row(), c_p = p.channel_lanes ? p.c_row() : 1;
  y += m * s.y.c;
  const bool dense = s.y.h == s.w.outputs * s.y.w;  // rows of an image follow each other
  const int64_t image = s.h.outputs * s.w.outputs;
  const auto write = [&](const T* from, T* to, int64_t pixels) {
    if (p.channel_lanes && s.y.c == 1) return p.k.write_rows(pixels, M, from, c_p, to, s.y.w);
    if (!p.channel_lanes && s.y.w == 1) return p.k.write_rows(M, pixels, from, c_m, to, s.y.c);
    for (int64_t i = 0; i < M; ++i)
      for (int64_t q = 0; q < pixels; ++q) to[i * s.y.c + q * s.y.w] = from[i * c_m + q * c_p];
  };
  if (dense) {
    for (int64_t at = 0, length = 0; at < job.count; at += length) {
      const int64_t n = (job.p + at) / image, q = (job.p + at) % image;
      length = min64(image - q, job.count - at);
      write(c + at * c_p, y + n * s.y.n + q * s.y.w, length);
    }
    return;
  }
  for_each_run(s, job.p, job.count, [&](const PixelRun& run, int64_t at) {
    write(c + at * c_p, y + run.n * s.y.n + run.i * s.y.h + run.j * s.y.w, run.count);
  });
}

// Sums the products of one chunk of terms into c, with lanes of channels.
template <class T>
void multiply_channels(const GemmSchedule<T>& p, const GemmArrays<T>& b, const GemmJob& job,
                       const TermChunk& chunk, const T* x, const T* bias, T* patches, T* c, T* y) {
  const Correlation& s = p.s;
  pack_pixel_rows(s, b.tables, chunk, x, job.p, job.count, chunk.count, patches);
  const T* weights = b.weights + job.group * p.weight_count();
  const int64_t first = job.share * p.panels.panels / p.m_shares;
  const int64_t last = (job.share + 1) * p.panels.panels / p.m_shares;
  for (int64_t i = first; i < last; ++i) {
    const int64_t width = p.panels.width(i), m = p.panels.first(i);
    StridedProduct<T> product{chunk.count,
                              patches,
                              chunk.count,
                              1,
                              weights + m * p.terms.count() + chunk.k * width,
                              width,
                              c + m - job.m,
                              p.c_row(),
                              chunk.k > 0};
    if (bias) product.column_start = b.bias + job.group * p.panels.first(p.panels.panels) + m;
    if (!p.direct_to_y()) {
      multiply_strided(p.k, width / p.lanes, job.count, product);
      continue;
    }
    product.c_row = s.y.w;
    for_each_run(s, job.p, job.count, [&](const PixelRun& run, int64_t at) {
      product.a = patches + at * chunk.count;
      product.c = y + run.n * s.y.n + run.i * s.y.h + run.j * s.y.w + job.group * s.M + m;
      multiply_strided(p.k, width / p.lanes, run.count, product);
    });
  }
}

// The same with lanes of pixels.
template <class T>
void multiply_pixels(const GemmSchedule<T>& p, const GemmArrays<T>& b, const GemmJob& job,
                     const TermChunk& chunk, const T* x, const T* weight, const T* bias, T* patches,
                     T* c, int thread) {
  for (int64_t at = 0; at < job.count; at += p.panel) {
    const int64_t pixels = min64(p.panel, job.count - at), padded = round_up(pixels, p.lanes);
    pack_term_rows(p.k, p.s, b.tables, chunk, x, job.p + at, pixels, padded, padded,
                   patches + at * chunk.count, thread);
  }
  const int64_t a_row = p.weight_row();
  const T* a = p.pack_weights ? b.weights + job.group * p.weight_count()
                              : weight + job.group * p.s.weight_group;
  a += job.m * a_row + chunk.k;
  for (int64_t strip = 0; strip < job.M; strip += M_STRIP)
    for (int64_t at = 0; at < job.count; at += p.panel) {
      const int64_t vectors = ceil_div(min64(p.panel, job.count - at), p.lanes);
      StridedProduct<T> product{chunk.count,
                                a + strip * a_row,
                                a_row,
                                1,
                                patches + at * chunk.count,
                                vectors * p.lanes,
                                c + strip * p.c_row() + at,
                                p.c_row(),
                                chunk.k > 0};
      if (bias) product.row_start = bias + job.group * p.s.M + job.m + strip;
      multiply_strided(p.k, vectors, min64(M_STRIP, job.M - strip), product);
    }
}

// What c is where no tap sees the image.
template <class T>
void start_block(const GemmSchedule<T>& p, const GemmJob& job, const T* bias, T* c) {
  const int64_t row = p.c_row(), rows = p.channel_lanes ? job.count : job.M;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < row; ++i) {
      const int64_t m = p.channel_lanes ? i : r;
      c[r * row + i] = bias && m < job.M ? bias[job.group * p.s.M + job.m + m] : T(0);
    }
}

// Returns c of a job. y is written only where direct_to_y() says so.
template <class T>
const T* sum_block(const GemmSchedule<T>& p, const GemmArrays<T>& b, const GemmJob& job, const T* x,
                   const T* weight, const T* bias, T* y, int thread) {
  T* patches = b.scratch + thread * b.scratch_count;
  T* c = patches + b.c_offset;
  x += job.group * p.s.C * p.s.x.c;
  if (p.terms.count() == 0) start_block(p, job, bias, c);
  for (int64_t i = 0; i < p.chunks.count(); ++i)
    if (p.channel_lanes)
      multiply_channels(p, b, job, p.chunks[i], x, bias, patches, c, y);
    else
      multiply_pixels(p, b, job, p.chunks[i], x, weight, bias, patches, c, thread);
  return c;
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
  if (bias && p.channel_lanes)
    for (int64_t group = 0, row = p.panels.first(p.panels.panels); group < s.groups; ++group)
      for (int64_t m = 0; m < row; ++m)
        b.bias[group * row + m] = m < s.M ? bias[group * s.M + m] : T(0);
  parallel_jobs(p.threads, p.jobs(), [&](int64_t i, int thread) {
    const GemmJob job(p, i);
    const T* c = sum_block(p, b, job, x, weight, bias, y, thread);
    if (!p.direct_to_y()) write_block(p, job, c, y);
  });
}

// Two phases whose pixels alternate in the rows of y: whole rows are written at once.
bool gemm_pairs(const Correlation& even, const Correlation& odd) {
  return even.y.w == 2 && even.w.outputs == odd.w.outputs;
}

template <class T>
int64_t gemm_pair_workspace_bytes(const Correlation& even, const Correlation& odd, int threads) {
  return gemm_workspace_bytes<T>(even, threads) + gemm_workspace_bytes<T>(odd, threads);
}

template <class T>
void gemm_correlate_pair(const Correlation (&s)[2], const T* x, const T* const (&weight)[2], T* y,
                         void* workspace, int threads) {
  const GemmSchedule<T> even(s[0], threads), odd(s[1], threads);
  const GemmArrays<T> a(even, workspace), b(odd, static_cast<char*>(workspace) + a.bytes);
  a.tables.fill(s[0]);
  b.tables.fill(s[1]);
  pack_all_weights(even, a, weight[0]);
  pack_all_weights(odd, b, weight[1]);
  // The schedules cut pixels and channels alike. One may have less work, but the threads of both.
  parallel_jobs(
      even.threads < odd.threads ? even.threads : odd.threads, even.jobs(),
      [&](int64_t i, int thread) {
        const GemmJob job(even, i);
        const T* first = sum_block<T>(even, a, job, x, weight[0], nullptr, nullptr, thread);
        const T* second = sum_block<T>(odd, b, job, x, weight[1], nullptr, nullptr, thread);
        const int64_t row = even.c_row();
        T* to = y + (job.group * s[0].M + job.m) * s[0].y.c;
        for_each_run(s[0], job.p, job.count, [&](const PixelRun& run, int64_t at) {
          even.k.write_pairs(job.M, run.count, first + at, second + at, row,
                             to + run.n * s[0].y.n + run.i * s[0].y.h + run.j * 2, s[0].y.c);
        });
      });
}

#define INSTANTIATE(T)                                                                            \
  template int64_t gemm_workspace_bytes<T>(const Correlation&, int);                              \
  template void gemm_correlate(const Correlation&, const T*, const T*, const T*, T*, void*, int); \
  template int64_t gemm_pair_workspace_bytes<T>(const Correlation&, const Correlation&, int);     \
  template void gemm_correlate_pair(const Correlation(&)[2], const T*, const T* const(&)[2], T*,  \
                                    void*, int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
