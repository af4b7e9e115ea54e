// GEMM convolution, backward_weight: a product over the pixels of all images. Layer: cpu/gemm, driver.
//   grad_w[oc][k] = sum over pixels p of patch[k][p] * grad_y[oc][p]     (patch: patches.h)
#include <algorithm>

#include "../../core/dtype.h"
#include "../common/parallel.h"
#include "../common/weight_bands.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "gemm.h"
#include "pairs/table.h"
#include "patches.h"
#include "product.h"
#include "weight_few_pixels.h"

namespace fastconv::cpu {
namespace {

// Loops, outermost first, and the data of each:
//   stretch of pixels                    packs grad_y as panels [pixel][panel], in L3
//     group, slice of pixels, chunk of k parallel; its c[k][oc] is in L2
//       chunk of pixels                  packs the patches of k, in L2
//         panel                          grad_y of one panel, in L1
//           register tile                4 or 8 terms k times 3 vectors of output channels
// Each slice has a c of its own. They are added in a fixed order, so the bits do not depend on the
// thread count. grad_bias is one more term, whose patches are ones.
constexpr int64_t STRETCH_BYTES = 4 * 1024 * 1024;  // of packed grad_y
constexpr int64_t JOBS = 8;                         // enough for a few threads to share evenly
constexpr int64_t LEAST_TERMS = 32;                 // of a job

template <class T>
struct GemmWeightSchedule {
  using Sum = SumOf<T>;
  const Conv2dShape& shape;
  const Correlation s;
  const ProductKernels<T>& k = product_kernels<T>(isa());
  const RowKernels<T>& rows = row_kernels<T>(isa());
  const GemmProduct<T> product;
  const RowKernels<Sum>& sums = row_kernels<Sum>(isa());
  int threads;
  int64_t lanes, panel;  // elements of a vector, the most elements of a panel
  PanelCut panels;       // of the output channels of a group
  bool pixels_inner;     // patches are packed as [k][pixel], else as [pixel][k]
  Terms terms;
  TermChunks blocks;                       // of terms, one a job
  int64_t pixels, chunk, chunks, stretch;  // pixels; of a chunk; chunks; chunks of a stretch
  int64_t slices;

  GemmWeightSchedule(const Conv2dShape& of, int wanted_threads)
      : shape(of),
        s(forward_correlation(of)),
        lanes(rows.lanes),
        panel(ProductKernels<T>::STRIDED_VECTORS * lanes),
        panels(s.M, lanes, ProductKernels<T>::STRIDED_VECTORS),
        pixels_inner(s.x.c != 1),
        terms{s.C, s.h.taps * s.w.taps, pixels_inner},
        blocks(terms, WEIGHT_TERMS) {
    threads = threads_for(of.multiply_adds(), wanted_threads);
    pixels = s.N * s.h.outputs * s.w.outputs;
    chunk = min64(min64(LONGEST_SUM, PANEL_BYTES / int64_t(sizeof(Sum)) / panel),
                  round_up(pixels, lanes));
    chunks = ceil_div(pixels, chunk);
    stretch =
        clamp64(STRETCH_BYTES / int64_t(sizeof(Sum)) / (chunk * s.groups * width()), 1, chunks);
    const int64_t bytes = s.groups * c_count() * int64_t(sizeof(Sum));
    slices = shares_of(stretch, ceil_div(JOBS, s.groups * blocks.count()), bytes);
    const int64_t least = max64(1, blocks.count()), most = terms.count() / LEAST_TERMS;
    const int64_t even = even_cut(least, most, s.groups * slices, threads);
    if (even > least) blocks = TermChunks(terms, ceil_div(terms.count(), even));
  }
  int64_t width() const { return panels.first(panels.panels); }  // channels in whole vectors
  int64_t c_count() const { return (terms.count() + 1) * width(); }
  int64_t jobs() const { return slices * s.groups * blocks.count(); }
  // Parts of the channels that are written by one job each, and the output channels of a line of c.
  // The channels of a part are neighbours in grad_w, or their taps are.
  int64_t finish_parts() const {
    return ceil_div(s.C, s.weight.c == 1 ? WEIGHT_TERMS : max64(1, WEIGHT_TERMS / terms.taps));
  }
  int64_t line() const { return CACHE_LINE / int64_t(sizeof(Sum)); }
};

template <class T>
struct GemmWeightArrays {
  using Sum = SumOf<T>;
  Sum* c;        // [slices][groups][k + 1][width]
  Sum* grad_y;   // [chunks of a stretch][groups][panels][pixel][width of the panel]
  Sum* ones;     // [chunk]
  Sum* patches;  // [threads][WEIGHT_TERMS * chunk]; at the end [threads][terms of a job][line]
  int64_t patch_count;
  PatchTables tables;
  int64_t bytes;

  GemmWeightArrays(const GemmWeightSchedule<T>& p, void* base)
      : GemmWeightArrays(p, Workspace(base)) {}
  GemmWeightArrays(const GemmWeightSchedule<T>& p, Workspace workspace)
      : tables(p.s, p.chunk, p.threads, workspace) {
    c = workspace.take<Sum>(p.slices * p.s.groups * p.c_count());
    grad_y = workspace.take<Sum>(p.stretch * p.s.groups * p.width() * p.chunk);
    ones = workspace.take<Sum>(p.chunk);
    const int64_t turned = max64(WEIGHT_TERMS, p.terms.taps) * p.line();  // of write_terms
    patch_count = round_up(max64(WEIGHT_TERMS * p.chunk, turned), CACHE_LINE);
    patches = workspace.take<Sum>(p.threads * patch_count);
    bytes = workspace.bytes();
  }
  Sum* grad_y_panel(const GemmWeightSchedule<T>& p, int64_t chunk, int64_t group, int64_t m) const {
    return grad_y + ((chunk * p.s.groups + group) * p.width() + m) * p.chunk;
  }
};

// Packs `count` pixels of a panel of grad_y as [pixel][width].
template <class T>
void pack_grad_y(const GemmWeightSchedule<T>& p, const T* grad_y, int64_t p0, int64_t count,
                 int64_t channels, int64_t width, SumOf<T>* to) {
  const Correlation& s = p.s;
  const int64_t image = s.h.outputs * s.w.outputs;
  if (channels < width)
    for (int64_t i = 0; i < count; ++i)
      for (int64_t m = channels; m < width; ++m) to[i * width + m] = 0;
  for (int64_t at = 0, length = 0; at < count; at += length) {
    const int64_t n = (p0 + at) / image, q = (p0 + at) % image;
    length = min64(image - q, count - at);
    const T* from = grad_y + n * s.y.n + q * s.y.w;
    if (s.y.w == 1)
      p.rows.transpose_in(channels, length, from, s.y.c, to + at * width, width);
    else
      p.rows.copy_in(length, channels, from, s.y.w, to + at * width, width, 0);
  }
}

template <class T>
void pack_chunk(const GemmWeightSchedule<T>& p, const GemmWeightArrays<T>& b, const T* grad_y,
                int64_t first, int64_t job) {
  const Correlation& s = p.s;
  const int64_t panels = p.panels.panels, at = job / (s.groups * panels);
  const int64_t group = job / panels % s.groups, m = p.panels.first(job % panels);
  const int64_t p0 = (first + at) * p.chunk, count = min64(p.chunk, p.pixels - p0);
  const int64_t width = p.panels.width(job % panels);
  SumOf<T>* to = b.grad_y_panel(p, at, group, m);
  pack_grad_y(p, grad_y + (group * s.M + m) * s.y.c, p0, count, p.panels.columns(job % panels),
              width, to);
  p.product.pair_rows(count, width, width, to);
}

// Adds the products of one slice of a stretch to its c.
template <class T>
void multiply_slice(const GemmWeightSchedule<T>& p, const GemmWeightArrays<T>& b,
                    const BackwardWeightBuffers<T>& io, int64_t first, int64_t length, int64_t job,
                    int thread) {
  const Correlation& s = p.s;
  const int64_t group = job / (p.slices * p.blocks.count());
  const int64_t slice = job / p.blocks.count() % p.slices, block = job % p.blocks.count();
  const TermChunk terms = p.blocks[block];
  SumOf<T>* c = b.c + (slice * s.groups + group) * p.c_count();
  SumOf<T>* patches = b.patches + thread * b.patch_count;
  const int64_t end = (slice + 1) * length / p.slices;
  bool add = first > 0;
  for (int64_t at = slice * length / p.slices; at < end; ++at, add = true) {
    const int64_t p0 = (first + at) * p.chunk, count = min64(p.chunk, p.pixels - p0);
    const T* x = io.x + group * s.C * s.x.c;
    if (p.pixels_inner) {
      pack_term_rows(p.k, s, b.tables, terms, x, p0, count, count, p.chunk, patches, thread);
      p.product.pair_columns(terms.count, count, p.chunk, patches);
    } else {
      pack_pixel_rows(p.rows, s, b.tables, terms, x, p0, count, terms.count, patches);
      p.product.pair_rows(count, terms.count, terms.count, patches);
    }
    StridedProduct<SumOf<T>> product{count, nullptr, 0, 0, nullptr, 0, nullptr, p.width(), add};
    for (int64_t panel = 0; panel < p.panels.panels; ++panel) {
      const int64_t m = p.panels.first(panel), vectors = p.panels.width(panel) / p.lanes;
      product.b = b.grad_y_panel(p, at, group, m);
      product.b_row = p.panels.width(panel);
      product.a = patches;
      product.a_row = p.pixels_inner ? p.chunk : 1;
      product.a_step = p.pixels_inner ? 1 : terms.count;
      product.c = c + terms.k * p.width() + m;
      p.product.multiply(vectors, terms.count, product);
      if (block > 0 || !io.grad_bias) continue;
      product.a = b.ones;
      product.a_row = 0;
      product.a_step = 1;
      product.c = c + p.terms.count() * p.width() + m;
      p.product.multiply(vectors, 1, product);
    }
  }
}

// Writes the terms of `channels` channels from c, and m output channels from m0, to grad_w. If the taps
// of grad_w are neighbours, the output channels are one line of c: rows of grad_w are often pages
// apart, and each then gets all its terms of this job at once.
template <class T>
void write_terms(const GemmWeightSchedule<T>& p, const SumOf<T>* sum, int64_t first,
                 int64_t channels, int64_t m0, int64_t m, SumOf<T>* turned, T* w) {
  const Strides& to = p.s.weight;
  const Terms& terms = p.terms;
  const int64_t width = p.width(), c_row = terms.c_step() * width;
  const int64_t tap_row = terms.tap_step() * width, taps = terms.taps;
  sum += first * c_row + m0;
  w += first * to.c + m0 * to.n;
  if (to.c == 1) {
    for (int64_t t = 0; t < taps; ++t)
      p.rows.transpose_out(channels, m, sum + t * tap_row, c_row,
                           w + t / p.s.w.taps * to.h + t % p.s.w.taps * to.w, to.n);
  } else if (terms.taps_inner) {
    p.rows.transpose_out(channels * taps, m, sum, width, w, to.n);
  } else {  // (t, c) -> (c, t)
    for (int64_t t = 0; t < taps; ++t)
      p.sums.copy_in(channels, m, sum + t * tap_row, c_row, turned + t * m, taps * m, 0);
    p.rows.transpose_out(channels * taps, m, turned, m, w, to.n);
  }
}

// Adds the slices in order and writes the terms of some channels.
template <class T>
void finish_channels(const GemmWeightSchedule<T>& p, const GemmWeightArrays<T>& b,
                     const BackwardWeightBuffers<T>& io, int64_t job, int thread) {
  const Correlation& s = p.s;
  const int64_t parts = p.finish_parts(), group = job / parts, part = job % parts;
  const int64_t first = part * s.C / parts, channels = (part + 1) * s.C / parts - first;
  const int64_t width = p.width(), slice = s.groups * p.c_count(), taps = p.terms.taps;
  SumOf<T>* c = b.c + group * p.c_count();
  for (int64_t i = 1; i < p.slices; ++i) {
    const auto add = [&](int64_t k, int64_t count) {
      p.rows.add(count * width, c + i * slice + k * width, c + k * width);
    };
    if (p.terms.taps_inner) add(first * taps, channels * taps);
    if (!p.terms.taps_inner)
      for (int64_t t = 0; t < taps; ++t) add(t * s.C + first, channels);
  }
  T* w = io.grad_w + group * s.weight_group;
  const int64_t together = s.weight.c == 1 ? s.M : p.line();
  for (int64_t m = 0; m < s.M; m += together)
    write_terms(p, c, first, channels, m, min64(together, s.M - m),
                b.patches + thread * b.patch_count, w);
  if (part > 0 || !io.grad_bias) return;
  SumOf<T>* bias = c + p.terms.count() * width;
  for (int64_t i = 1; i < p.slices; ++i) p.rows.add(width, bias + i * slice, bias);
  std::copy(bias, bias + s.M, io.grad_bias + group * s.M);
}

}  // namespace

template <class T>
int64_t gemm_weight_workspace_bytes(const Conv2dShape& s, int threads) {
  if (few_pixels(s)) return FewPixelArrays<T>(FewPixelSchedule<T>(s, threads), nullptr).bytes;
  return GemmWeightArrays<T>(GemmWeightSchedule<T>(s, threads), nullptr).bytes;
}

template <class T>
void gemm_weight(const Conv2dShape& s, const BackwardWeightBuffers<T>& io, void* workspace,
                 int threads) {
  if (few_pixels(s)) return run_few_pixels(FewPixelSchedule<T>(s, threads), io, workspace);
  const GemmWeightSchedule<T> p(s, threads);
  const GemmWeightArrays<T> b(p, workspace);
  b.tables.fill(p.s);
  for (int64_t i = 0; i < p.chunk; ++i) b.ones[i] = 1;
  p.product.pair_columns(1, p.chunk, p.chunk, b.ones);
  for (int64_t first = 0; first < p.chunks; first += p.stretch) {
    const int64_t length = min64(p.stretch, p.chunks - first);
    parallel_jobs(p.threads, length * p.s.groups * p.panels.panels,
                  [&](int64_t job, int) { pack_chunk(p, b, io.grad_y, first, job); });
    parallel_jobs(p.threads, p.jobs(), [&](int64_t job, int thread) {
      multiply_slice(p, b, io, first, length, job, thread);
    });
  }
  parallel_jobs(p.threads, p.s.groups * p.finish_parts(),
                [&](int64_t job, int thread) { finish_channels(p, b, io, job, thread); });
}

#define INSTANTIATE(T)                                                      \
  template int64_t gemm_weight_workspace_bytes<T>(const Conv2dShape&, int); \
  template void gemm_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, void*, int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
