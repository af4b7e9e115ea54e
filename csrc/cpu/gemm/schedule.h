// How GEMM convolution cuts its work, forward and backward_input (formula: patches.h), and its
// workspace. Layer: cpu/gemm, for its driver.
#pragma once

#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "in_place.h"
#include "pairs/table.h"
#include "patches.h"
#include "product.h"
#include "weights.h"

namespace fastconv::cpu {

// Loops, outermost first, and the data of each:
//   group, block of pixels, share of M   parallel; c[m][p] of the block is in L2
//     chunk of terms                     packs the patches of the block, in L2
//       block of M                       its weights of the chunk are in L2
//         panel                          patches of one panel, in L1
//           register tile                pixel lanes: 4 or 8 channels m times 3 vectors of pixels
//   then c goes to y, with the bias.
// With channel lanes M and pixels trade places: panels are packed weights, and a register tile is 4
// or 8 pixels times 3 vectors of channels. y with channels last is written by whole vectors so.
constexpr int64_t BLOCK_PIXELS = 192;  // patches of a chunk and c[512][p] fit a 1 MiB L2
constexpr int64_t LEAST_PIXELS = 48;   // of a block: the weights of a chunk are read for each block
constexpr int64_t PIXEL_ROWS = 8;      // of register tiles, with channel lanes
constexpr int64_t M_SHARE = 512;       // the most channels of a job
constexpr int64_t M_ALIGNMENT = 16;    // shares of M are multiples of register tiles
constexpr int64_t M_BLOCK = 64;        // 64 KiB of weights
constexpr int64_t SHARED_WEIGHTS = 10'000;  // that are packed by more than one thread

inline int threads_of(const Correlation& s, int wanted) {
  const int64_t outputs = s.N * s.h.outputs * s.w.outputs * s.groups * s.M;
  return threads_for(outputs * max64(1, s.C * s.h.taps * s.w.taps), wanted);
}

// How M may be cut into shares, and whether register tiles may write to y.
struct MCut {
  int64_t unit = M_ALIGNMENT;  // with pixel lanes, shares are multiples of it
  bool one_share = false;
  bool direct = true;
};

template <class T>
struct GemmSchedule {
  using Sum = SumOf<T>;  // of workspaces: elements are widened while they are packed
  const Correlation& s;
  const ProductKernels<T>& k = product_kernels<T>(isa());
  const RowKernels<T>& rows = row_kernels<T>(isa());
  const GemmProduct<T> product;
  int threads;
  int64_t lanes, panel;  // elements of a vector, the most elements of a panel
  bool channel_lanes;
  Terms terms;
  TermChunks chunks;
  int64_t longest;  // terms of the longest chunk
  int64_t pixels, blocks;
  int64_t unit, units;  // blocks are cut between units of so many pixels
  PanelCut panels;      // of M, with channel lanes
  int64_t m_shares;     // jobs that share M
  MCut cut;
  bool pack_weights;  // pixel lanes: the rows of w are packed
  int64_t in_place;   // taps of a product that reads x where it lies (in_place.h), or 0

  GemmSchedule(const Correlation& correlation, int threads_of_call, MCut m_cut = {})
      : s(correlation),
        threads(threads_of_call),
        lanes(rows.lanes),
        panel(ProductKernels<T>::STRIDED_VECTORS * lanes),
        channel_lanes(s.y.c == 1 && s.M > 1),
        terms{s.C, s.h.taps * s.w.taps, !channel_lanes && s.weight.c != 1},
        chunks(terms, longest_chunk(panel)),
        panels(s.M, lanes, ProductKernels<T>::STRIDED_VECTORS),
        cut(m_cut) {
    longest = 0;
    for (int64_t i = 0; i < chunks.count(); ++i) longest = max64(longest, chunks[i].count);
    pixels = s.N * s.h.outputs * s.w.outputs;
    unit = channel_lanes ? PIXEL_ROWS : panel;
    units = ceil_div(pixels, unit);
    m_shares = cut.one_share ? 1 : max64(1, ceil_div(s.M, M_SHARE));
    const int64_t least = max64(1, ceil_div(units, BLOCK_PIXELS / unit));
    blocks = even_cut(least, pixels / max64(LEAST_PIXELS, unit), s.groups * m_shares, threads);
    // Each share of M packs the patches again, so blocks of fewer pixels come first.
    const int64_t most_shares = cut.one_share   ? 1
                                : channel_lanes ? panels.panels
                                                : ceil_div(s.M, cut.unit);
    m_shares = min64(m_shares, max64(1, most_shares));
    const int64_t jobs = max64(1, s.groups * blocks);
    if (jobs * m_shares < threads) m_shares = clamp64(ceil_div(threads, jobs), 1, most_shares);
    pack_weights = IS_WIDENED<T> || !weight_rows_in_place(s, terms);
    in_place = 0;
    if (!IS_WIDENED<T> && channel_lanes)
      in_place = taps_in_place(k, s, panels, longest_chunk(panel));
  }
  static int64_t longest_chunk(int64_t panel) {
    return min64(LONGEST_SUM, PANEL_BYTES / int64_t(sizeof(Sum)) / panel);
  }
  int64_t jobs() const { return s.groups * blocks * m_shares; }
  int64_t block_first(int64_t block) const { return min64(pixels, block * units / blocks * unit); }
  int64_t most_of_block() const { return ceil_div(units, blocks) * unit; }
  // The first channel of a share, a multiple of a panel or of the unit.
  int64_t share_first(int64_t share) const {
    if (channel_lanes) return panels.first(share * panels.panels / m_shares);
    return min64(s.M, share * ceil_div(s.M, cut.unit) / m_shares * cut.unit);
  }
  int64_t most_of_share() const {
    int64_t most = 0;
    for (int64_t i = 0; i < m_shares; ++i) most = max64(most, share_first(i + 1) - share_first(i));
    return most;
  }
  int64_t c_row() const { return channel_lanes ? most_of_share() : most_of_block(); }
  int64_t c_count() const { return (channel_lanes ? most_of_block() : most_of_share()) * c_row(); }
  int64_t patch_count() const { return in_place ? 0 : most_of_block() * longest; }
  int64_t weight_count() const {
    if (channel_lanes) return panels.first(panels.panels) * terms.count();
    return pack_weights ? s.M * weight_row() : 0;
  }
  // Elements between the rows of w. Packed rows are not a multiple of 4 KiB apart, which would put
  // them into the same few lines of L1.
  int64_t weight_row() const {
    return pack_weights ? round_up(terms.count(), CACHE_LINE) + 16 : s.weight.n;
  }
  // In place: all pixels of a job are rows of one product.
  bool in_one_product() const {
    return reads_evenly(s) && (!direct_to_y() || is_even(s.y, s.h.outputs, s.w.outputs));
  }
  // Sums of all terms are written to y at once, without c, where y has whole vectors of channels.
  bool direct_to_y() const {
    return !IS_WIDENED<T> && cut.direct && channel_lanes && chunks.count() == 1 &&
           (!in_place || has_one_tap(s)) && s.M % lanes == 0;
  }
  // The bias is copied: with channel lanes to whole vectors, else if it has to be widened.
  int64_t bias_row() const {
    return channel_lanes ? panels.first(panels.panels) : IS_WIDENED<T> ? s.M : 0;
  }
};

template <class T>
struct GemmArrays {
  using Sum = SumOf<T>;
  Sum* weights;  // [groups] packed: [panels][k][width of the panel], or [m][weight_row]
  Sum* bias;     // [groups][bias_row]
  Sum* scratch;  // [threads]: patches, c
  int64_t scratch_count, c_offset;
  PatchTables tables;
  int64_t bytes;

  GemmArrays(const GemmSchedule<T>& p, void* base) : GemmArrays(p, Workspace(base)) {}
  GemmArrays(const GemmSchedule<T>& p, Workspace workspace)
      : tables(p.s, p.panel, p.threads, workspace) {
    weights = workspace.take<Sum>(p.s.groups * p.weight_count());
    bias = workspace.take<Sum>(p.s.groups * p.bias_row());
    c_offset = round_up(p.patch_count(), CACHE_LINE);
    scratch_count = round_up(c_offset + p.c_count(), CACHE_LINE);
    scratch = workspace.take<Sum>(p.threads * scratch_count);
    bytes = workspace.bytes();
  }
};

// What a job computes: the pixels [p, p + count) and the channels [m, m + M) of a group.
struct GemmJob {
  int64_t group, p, count, share, m, M;

  template <class T>
  GemmJob(const GemmSchedule<T>& of, int64_t job)
      : group(job / (of.blocks * of.m_shares)),
        p(of.block_first(job / of.m_shares % of.blocks)),
        count(of.block_first(job / of.m_shares % of.blocks + 1) - p),
        share(job % of.m_shares),
        m(of.share_first(share)),
        M(min64(of.share_first(share + 1), of.s.M) - m) {}
};

}  // namespace fastconv::cpu
