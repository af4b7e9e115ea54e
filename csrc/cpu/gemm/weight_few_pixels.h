// GEMM convolution, backward_weight of fewer pixels than output channels: lanes = terms. Layer: cpu/gemm,
// for the driver in weight.cpp.
//   grad_w[oc][k] = sum over pixels p of grad_y[oc][p] * patch[p][k]     (patch: patches.h)
// Such a call takes the time of writing grad_w, so the register tiles write it, in its own order of
// terms, once. (weight.cpp has lanes of output channels, and turns the sums at the end.)
//
// Loops, outermost first, and the data of each:
//   grad_y is packed as [pixel][oc], with grad_bias
//     group, block of terms              parallel; packs patches as panels [pixel][panel], in L2
//       16 output channels               one row of grad_w each
//         panel                          3 vectors of terms
//           register tile                sums all pixels; stored once
#pragma once

#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "pairs/table.h"
#include "patches.h"
#include "product.h"

namespace fastconv::cpu {

constexpr int64_t FEW_PIXEL_ROWS = 16;  // output channels: a panel is read from L2 so rarely
constexpr int64_t FEW_PIXEL_BYTES = 128 * 1024;  // of the patches of a block, in L2
constexpr int64_t FEW_PIXEL_CHANNELS = 64;       // of a job that packs grad_y

// Returns whether this driver computes grad_w. Packing patches by pixels takes about as long for a
// pixel as turning sums does for an output channel. 64: with 98 pixels and more it is slower (measured,
// docs/performance-log.md).
constexpr bool few_pixels(const Conv2dShape& s) {
  constexpr int64_t FEW_PIXELS = 64;
  const int64_t pixels = s.N * s.OH() * s.OW();
  return pixels <= FEW_PIXELS && pixels < s.group_OC();
}

template <class T>
struct FewPixelSchedule {
  using Sum = SumOf<T>;
  const Conv2dShape& shape;
  const Correlation s;
  const RowKernels<T>& rows = row_kernels<T>(isa());
  const GemmProduct<T> product;
  int threads;
  int64_t lanes, panel, pixels;  // `panel`: the most terms of one
  Terms terms;                   // in the order of grad_w
  TermChunks blocks;             // of the terms
  int64_t width;                 // output channels of a group, in whole vectors

  FewPixelSchedule(const Conv2dShape& of, int wanted_threads)
      : shape(of),
        s(forward_correlation(of)),
        lanes(rows.lanes),
        panel(ProductKernels<T>::STRIDED_VECTORS * lanes),
        pixels(s.N * s.h.outputs * s.w.outputs),
        terms{s.C, s.h.taps * s.w.taps, s.weight.c != 1},
        blocks(terms, FEW_PIXEL_BYTES / int64_t(sizeof(Sum)) / pixels),
        width(round_up(s.M, lanes)) {
    threads = threads_for(of.multiply_adds(), wanted_threads);
    const int64_t least = blocks.count(), most = terms.count() / panel;
    const int64_t even = even_cut(least, most, s.groups, threads);
    if (even > least) blocks = TermChunks(terms, ceil_div(terms.count(), even));
  }
  int64_t patch_count() const {
    int64_t most = 0;
    for (int64_t i = 0; i < blocks.count(); ++i) most = max64(most, blocks[i].count);
    return pixels * round_up(most, lanes);
  }
};

template <class T>
struct FewPixelArrays {
  using Sum = SumOf<T>;
  Sum* grad_y;  // [groups][pixel][width]
  Sum* bias;    // [groups][width]
  Sum*
      scratch;  // [threads]: patches as [pixel][k], as panels, FEW_PIXEL_ROWS rows of sums of a panel
  int64_t panels_offset, sums_offset, scratch_count;
  PatchTables tables;
  int64_t bytes;

  FewPixelArrays(const FewPixelSchedule<T>& p, void* base) : FewPixelArrays(p, Workspace(base)) {}
  FewPixelArrays(const FewPixelSchedule<T>& p, Workspace workspace) : tables(p.s, 1, 1, workspace) {
    grad_y = workspace.take<Sum>(p.s.groups * p.pixels * p.width);
    bias = workspace.take<Sum>(p.s.groups * p.width);
    panels_offset = round_up(p.patch_count(), CACHE_LINE);
    sums_offset = round_up(panels_offset + p.patch_count(), CACHE_LINE);
    scratch_count = round_up(sums_offset + FEW_PIXEL_ROWS * p.panel, CACHE_LINE);
    scratch = workspace.take<Sum>(p.threads * scratch_count);
    bytes = workspace.bytes();
  }
};

// Packs grad_y of some channels, and computes their grad_bias.
template <class T>
void pack_few_grad_y(const FewPixelSchedule<T>& p, const FewPixelArrays<T>& b,
                     const BackwardWeightBuffers<T>& io, int64_t job) {
  const Correlation& s = p.s;
  const int64_t jobs = ceil_div(s.M, FEW_PIXEL_CHANNELS), group = job / jobs;
  const int64_t m = job % jobs * FEW_PIXEL_CHANNELS, channels = min64(FEW_PIXEL_CHANNELS, s.M - m);
  SumOf<T>* to = b.grad_y + group * p.pixels * p.width + m;
  const int64_t image = s.h.outputs * s.w.outputs;
  for (int64_t n = 0; n < s.N; ++n) {
    const T* from = io.grad_y + n * s.y.n + (group * s.M + m) * s.y.c;
    if (s.y.w == 1)
      p.rows.transpose_in(channels, image, from, s.y.c, to + n * image * p.width, p.width);
    else
      p.rows.copy_in(image, channels, from, s.y.w, to + n * image * p.width, p.width, 0);
  }
  if (io.grad_bias) {
    SumOf<T>* bias = b.bias + group * p.width + m;
    for (int64_t i = 0; i < channels; ++i) bias[i] = 0;
    for (int64_t pixel = 0; pixel < p.pixels; ++pixel)
      p.rows.add(channels, to + pixel * p.width, bias);
    p.rows.copy_out(1, channels, bias, 0, io.grad_bias + group * s.M + m, 0, 0);
  }
  p.product.pair_rows(p.pixels, channels, p.width, to);
}

// Computes one block of terms of grad_w.
template <class T>
void multiply_few_pixels(const FewPixelSchedule<T>& p, const FewPixelArrays<T>& b,
                         const BackwardWeightBuffers<T>& io, int64_t job, int thread) {
  using Sum = SumOf<T>;
  const Correlation& s = p.s;
  const int64_t group = job / p.blocks.count();
  const TermChunk terms = p.blocks[job % p.blocks.count()];
  const PanelCut panels(terms.count, p.lanes, ProductKernels<T>::STRIDED_VECTORS);
  const int64_t row = round_up(terms.count, p.lanes);
  Sum* patches = b.scratch + thread * b.scratch_count;
  Sum *in_panels = patches + b.panels_offset, *sums = patches + b.sums_offset;
  pack_pixel_rows(p.rows, s, b.tables, terms, io.x + group * s.C * s.x.c, 0, p.pixels, row,
                  patches);
  for (int64_t pixel = 0; pixel < p.pixels; ++pixel)
    fill_few(row - terms.count, patches + pixel * row + terms.count);
  for (int64_t i = 0; i < panels.panels; ++i) {
    const int64_t width = panels.width(i), first = panels.first(i);
    Sum* to = in_panels + first * p.pixels;
    row_kernels<Sum>(isa()).copy_in(p.pixels, width, patches + first, row, to, width, 0);
    p.product.pair_rows(p.pixels, width, width, to);
  }
  const Sum* grad_y = b.grad_y + group * p.pixels * p.width;
  T* grad_w = io.grad_w + group * s.weight_group + terms.k;
  for (int64_t m = 0; m < s.M; m += FEW_PIXEL_ROWS) {
    const int64_t M = min64(FEW_PIXEL_ROWS, s.M - m);
    for (int64_t i = 0; i < panels.panels; ++i) {
      const int64_t k = panels.first(i), columns = panels.columns(i), width = panels.width(i);
      T* to = grad_w + m * s.weight.n + k;
      StridedProduct<Sum> product{p.pixels, grad_y + m, 1,       p.width, in_panels + k * p.pixels,
                                  width,    sums,       p.panel, false};
      if constexpr (!IS_WIDENED<T>)
        if (columns == width) {
          product.c = to;
          product.c_row = s.weight.n;
        }
      p.product.multiply(width / p.lanes, M, product);
      if (product.c == sums) p.rows.copy_out(M, columns, sums, p.panel, to, s.weight.n, 0);
    }
  }
}

template <class T>
void run_few_pixels(const FewPixelSchedule<T>& p, const BackwardWeightBuffers<T>& io,
                    void* workspace) {
  const FewPixelArrays<T> b(p, workspace);
  b.tables.fill(p.s);
  const int64_t packs = p.s.groups * ceil_div(p.s.M, FEW_PIXEL_CHANNELS);
  parallel_jobs(p.pixels * p.shape.OC < 10'000 ? 1 : p.threads, packs,
                [&](int64_t job, int) { pack_few_grad_y(p, b, io, job); });
  parallel_jobs(p.threads, p.s.groups * p.blocks.count(),
                [&](int64_t job, int thread) { multiply_few_pixels(p, b, io, job, thread); });
}

}  // namespace fastconv::cpu
