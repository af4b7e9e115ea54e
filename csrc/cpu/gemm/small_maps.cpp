// Convolution of maps of a few pixels, forward and backward_input: lanes = images. Layer: cpu/gemm,
// driver.
//   y[m][p][n] = bias[m] + sum over t,c of w[m][t][c] * x[c][q][n], with the pixel q that tap t sees
//   from the output pixel p. A tap that sees padding is not multiplied: on a map of 2x2 a 3x3 filter
//   uses 4 of 9 taps at every pixel.
#include <algorithm>

#include "../../core/dtype.h"
#include "../common/finish.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "gemm.h"
#include "product.h"
#include "weights.h"

namespace fastconv::cpu {
namespace {

// Loops, outermost first, and the data of each:
//   x is turned into [c][q][n], or [q][c][n]; with few channels into [group][q][c][n]
//   group, block of M, share of images parallel; the weights are packed as [m][t][c], in L2
//     panel of images, pixel p
//       visible tap, chunk of c        x of the panel and q, in L2; with few channels the taps of a
//                                      row are one sum, because (b, c) then follow each other in x
//         register tile                4 to 16 channels m times 1 to 3 vectors of images
//   then y of the block is turned back

constexpr int64_t ROWS = 4;            // blocks are multiples of the register tiles of whole panels
constexpr int64_t LEAST_CHANNELS = 8;  // of a block
constexpr int64_t MANY_PIXELS =
    4;  // each share of the images packs the weights again: few beside these

template <class T>
struct SmallMapSchedule {
  using Sum = SumOf<T>;
  const Correlation& s;
  const ProductKernels<T>& k = product_kernels<T>(isa());
  const RowKernels<T>& rows = row_kernels<T>(isa());
  int threads;
  Terms terms;
  int64_t images, vectors;        // N in whole vectors
  int64_t sources, pixels;        // of a map
  int64_t block = 0, blocks;      // most channels of a block
  int64_t shares = 1, share = 0;  // of the images; most vectors of a share
  bool in_place;                  // weights
  bool joined;                    // the taps of a row are one sum

  SmallMapSchedule(const Correlation& of, int wanted_threads)
      : s(of),
        terms{of.C, of.h.taps * of.w.taps, false},
        images(round_up(of.N, rows.lanes)),
        vectors(images / rows.lanes),
        sources(of.h.source * of.w.source),
        pixels(of.h.outputs * of.w.outputs),
        in_place(of.weight.c == 1 && !IS_WIDENED<T>) {
    threads = threads_for(s.N * pixels * s.groups * s.M * max64(1, terms.count()), wanted_threads);
    joined = small_map_joins_taps(s, in_place);
    const int64_t most = small_map_block(s.M, terms.count() * int64_t(sizeof(Sum)), !in_place);
    const int64_t least = ceil_div(s.M, most);
    const bool divide_evenly = vectors % threads == 0 || vectors >= 4 * threads;
    if (pixels >= MANY_PIXELS && divide_evenly)
      shares = even_cut(1, vectors, s.groups * least, threads);
    blocks = even_cut(least, s.M / LEAST_CHANNELS, s.groups * shares, threads);
    share = ceil_div(vectors, shares);
    for (int64_t i = 0; i < blocks; ++i) block = max64(block, first(i + 1) - first(i));
  }
  // The first channel of a block.
  int64_t first(int64_t i) const { return min64(s.M, i * ceil_div(s.M, ROWS) / blocks * ROWS); }
  bool pixels_outer() const { return s.x.c == 1; }  // of x
  int64_t x_count() const { return s.groups * s.C * sources * images; }
  int64_t c_step() const { return (joined || pixels_outer() ? 1 : sources) * images; }
  int64_t pixel_step() const {
    return (joined ? s.C : pixels_outer() ? s.groups * s.C : 1) * images;
  }
  int64_t group_step() const { return s.C * (joined ? sources : 1) * c_step(); }
  // The place of a pixel in x. Taps of backward_input read x backwards; there pixels lie in reverse order.
  int64_t place(int64_t ih, int64_t iw) const {
    const int64_t q = ih * s.w.source + iw;
    return joined && s.w.step < 0 ? sources - 1 - q : q;
  }
  int64_t weight_count() const { return in_place ? 0 : block * terms.count(); }
  // y of a job is [m][p][images of a share].
  int64_t y_row() const { return share * rows.lanes; }
  int64_t y_count() const { return block * pixels * y_row(); }
};

template <class T>
struct SmallMapArrays {
  using Sum = SumOf<T>;
  Sum* x;
  Sum* scratch;  // [threads]: weights, y
  int64_t y_offset, scratch_count;
  int64_t bytes;

  SmallMapArrays(const SmallMapSchedule<T>& p, void* base) {
    Workspace workspace(base);
    x = workspace.take<Sum>(p.x_count());
    y_offset = round_up(p.weight_count(), CACHE_LINE);
    scratch_count = round_up(y_offset + p.y_count(), CACHE_LINE);
    scratch = workspace.take<Sum>(p.threads * scratch_count);
    bytes = workspace.bytes();
  }
};

// Turns `count` columns of x, which follow each other, into rows of images.
template <class T>
void turn_columns(const SmallMapSchedule<T>& p, const T* x, int64_t count, SumOf<T>* to,
                  int64_t to_row) {
  p.rows.transpose_in(p.s.N, count, x, p.s.x.n, to, to_row);
  for (int64_t i = 0; i < count && p.s.N < p.images; ++i)
    std::fill_n(to + i * to_row + p.s.N, p.images - p.s.N, SumOf<T>(0));
}

// Turns x into [group][q][c][n], with the pixels q in the order of `place`.
template <class T>
void turn_joined(const SmallMapSchedule<T>& p, const T* x, SumOf<T>* turned) {
  const Correlation& s = p.s;
  const int64_t runs = p.pixels_outer() ? p.sources : s.C;
  const int64_t row = s.w.step < 0 ? -p.pixel_step() : p.pixel_step();
  parallel_jobs(p.threads, s.groups * runs, [&](int64_t job, int) {
    const int64_t group = job / runs, run = job % runs;
    SumOf<T>* to = turned + group * p.group_step();
    if (p.pixels_outer())  // the channels of a pixel
      turn_columns(p, x + run * s.x.w + group * s.C, s.C, to + p.place(0, run) * p.pixel_step(),
                   p.c_step());
    else  // the pixels of a channel
      turn_columns(p, x + (group * s.C + run) * s.x.c, p.sources,
                   to + p.place(0, 0) * p.pixel_step() + run * p.c_step(), row);
  });
}

// Sums pixel (i, j) of a block for the vectors [first, first + vectors) of images. y: at (0, first).
template <class T>
void sum_pixel(const SmallMapSchedule<T>& p, const SumOf<T>* x, const SumOf<T>* weights, int64_t i,
               int64_t j, int64_t M, int64_t first, int64_t vectors, SumOf<T>* y) {
  const Correlation& s = p.s;
  StridedProduct<SumOf<T>> product{};
  product.a_row = p.in_place ? s.weight.n : p.terms.count();
  product.a_step = 1;
  product.b_row = p.c_step();
  product.c = y + (i * s.w.outputs + j) * p.y_row();
  product.c_row = p.pixels * p.y_row();
  product.add = true;
  for (int64_t a = 0; a < s.h.taps; ++a)
    for (int64_t b = 0, taps = 1; b < s.w.taps; b += taps) {
      const int64_t ih = i * s.h.stride + s.h.first + a * s.h.step;
      const int64_t iw = j * s.w.stride + s.w.first + b * s.w.step;
      taps = 1;
      if (ih < 0 || ih >= s.h.source || iw < 0 || iw >= s.w.source) continue;
      if (p.joined) taps = min64(s.w.taps - b, s.w.step < 0 ? iw + 1 : s.w.source - iw);
      const SumOf<T>* tap =
          weights + (p.in_place ? a * s.weight.h + b * s.weight.w : (a * s.w.taps + b) * s.C);
      const SumOf<T>* source = x + p.place(ih, iw) * p.pixel_step() + first * p.rows.lanes;
      for (int64_t c = 0; c < taps * s.C; c += LONGEST_SUM) {
        product.K = min64(LONGEST_SUM, taps * s.C - c);
        product.a = tap + c;
        product.b = source + c * p.c_step();
        multiply_strided(p.k, vectors, M, product);
      }
    }
}

// Turns y[m][p][n] of a block and N images into the layout of the output, finished.
template <class T>
void write_block(const SmallMapSchedule<T>& p, const SumOf<T>* from, int64_t M, int64_t N,
                 const Finishing<T>& finishing, T* y) {
  const Correlation& s = p.s;
  const int64_t row = p.y_row();
  if (s.y.w == 1 && s.y.h == s.w.outputs && s.y.c == p.pixels)
    return finishing.transpose_out(p.rows, M * p.pixels, N, from, row, y, s.y.n);
  for (int64_t q = 0; q < p.pixels; ++q) {
    T* to = y + q / s.w.outputs * s.y.h + q % s.w.outputs * s.y.w;
    if (s.y.c == 1)
      finishing.transpose_out(p.rows, M, N, from + q * row, p.pixels * row, to, s.y.n);
    else
      for (int64_t m = 0; m < M; ++m)
        for (int64_t n = 0; n < N; ++n) {
          T* at = to + n * s.y.n + m * s.y.c;
          *at = finishing.element(from[(m * p.pixels + q) * row + n], at);
        }
  }
}

template <class T>
void sum_block(const SmallMapSchedule<T>& p, const SmallMapArrays<T>& b, const T* weight,
               const T* bias, const Finishing<T>& finishing, T* y, int64_t job, int thread) {
  const Correlation& s = p.s;
  const int64_t block = job / p.shares % p.blocks, group = job / p.shares / p.blocks;
  const int64_t m = p.first(block), M = p.first(block + 1) - m;
  const int64_t begin = job % p.shares * p.vectors / p.shares;
  const int64_t end = (job % p.shares + 1) * p.vectors / p.shares;
  SumOf<T>* packed = b.scratch + thread * b.scratch_count;
  SumOf<T>* sums = packed + b.y_offset;
  const T* w = weight + group * s.weight_group + m * s.weight.n;
  if (!p.in_place) pack_weight_rows(p.rows, s, p.terms, w, M, packed, p.terms.count());
  const int64_t row = p.pixels * p.y_row();
  for (int64_t i = 0; i < M; ++i)
    std::fill_n(sums + i * row, row, bias ? SumOf<T>(bias[group * s.M + m + i]) : SumOf<T>(0));
  const SumOf<T>* weights = packed;
  if constexpr (!IS_WIDENED<T>)
    if (p.in_place) weights = w;
  const SumOf<T>* x = b.x + group * p.group_step();
  const int64_t panels = ceil_div(end - begin, ProductKernels<T>::STRIDED_VECTORS);
  for (int64_t panel = 0; panel < panels; ++panel) {
    const int64_t first = begin + panel * (end - begin) / panels;
    const int64_t vectors = begin + (panel + 1) * (end - begin) / panels - first;
    for (int64_t i = 0; i < s.h.outputs; ++i)
      for (int64_t j = 0; j < s.w.outputs; ++j)
        sum_pixel(p, x, weights, i, j, M, first, vectors, sums + (first - begin) * p.rows.lanes);
  }
  const int64_t n = begin * p.rows.lanes, N = min64(s.N, end * p.rows.lanes) - n;
  write_block(p, sums, M, N, finishing, y + n * s.y.n + (group * s.M + m) * s.y.c);
}

}  // namespace

template <class T>
int64_t small_map_workspace_bytes(const Correlation& s, int threads) {
  return SmallMapArrays<T>(SmallMapSchedule<T>(s, threads), nullptr).bytes;
}

template <class T>
void small_map_correlate(const Correlation& s, const T* x, const T* weight,
                         const Epilogue<T>& epilogue, T* y, void* workspace, int threads) {
  constexpr int64_t COLUMNS = 512;  // of x, turned by one job
  const SmallMapSchedule<T> p(s, threads);
  const SmallMapArrays<T> b(p, workspace);
  const int64_t columns = s.groups * s.C * p.sources;
  if (p.joined)
    turn_joined(p, x, b.x);
  else
    parallel_jobs(p.threads, ceil_div(columns, COLUMNS), [&](int64_t job, int) {
      const int64_t first = job * COLUMNS, count = min64(COLUMNS, columns - first);
      turn_columns(p, x + first, count, b.x + first * p.images, p.images);
    });
  const Finishing<T> finishing(epilogue, y);
  parallel_jobs(p.threads, s.groups * p.blocks * p.shares, [&](int64_t job, int thread) {
    sum_block(p, b, weight, epilogue.bias, finishing, y, job, thread);
  });
}

#define INSTANTIATE(T)                                                                          \
  template int64_t small_map_workspace_bytes<T>(const Correlation&, int);                       \
  template void small_map_correlate(const Correlation&, const T*, const T*, const Epilogue<T>&, \
                                    T*, void*, int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
