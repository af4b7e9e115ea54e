// GEMM convolution, backward_input of a few pixels with NCHW filters: lanes = pixels. Layer: cpu/gemm,
// driver.
//   column[k][q] = sum over oc of w[oc][k] * grad_y[oc][q]      k = (c, t), the pixels q of all images
//   grad_x[n,c,ih,iw] = sum of column[(c, t)][q] over the taps t and pixels q that read (ih, iw)
// Each weight is used for a few pixels only, so w is read where it lies, once. (The other form turns w
// first, which takes longer than its products then.)
#include "../../core/dtype.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "gemm.h"
#include "product.h"
#include "weights.h"

namespace fastconv::cpu {
namespace {

// Loops, outermost first, and the data of each:
//   grad_y is packed as [oc][pixel]
//     group, block of channels c     parallel
//       chunk of oc
//         panel of pixels            [oc][panel], in L1
//           register tile            4 to 12 terms k, neighbours in w
//       the columns of the block, in L2, are added to grad_x

constexpr int64_t COLUMN_BYTES = 64 * 1024;  // of the columns of a block
constexpr int64_t LEAST_CHANNELS = 4;        // of a block

template <class T>
struct FewPixelInputSchedule {
  const Conv2dShape& s;
  const ProductKernels<T>& k = product_kernels<T>(isa());
  const RowKernels<T>& rows = row_kernels<T>(isa());
  const Axis h, w;
  int threads;
  int64_t taps, image, pixels, width;  // output pixels of an image, of all; in whole vectors
  int64_t blocks;                      // of the channels of a group

  FewPixelInputSchedule(const Conv2dShape& of, int wanted_threads)
      : s(of), h(rows_axis(of)), w(columns_axis(of)) {
    threads = threads_for(s.multiply_adds(), wanted_threads);
    taps = s.KH * s.KW;
    image = s.OH() * s.OW();
    pixels = s.N * image;
    width = round_up(pixels, rows.lanes);
    const int64_t C = s.group_IC(), bytes = C * taps * width * int64_t(sizeof(T));
    blocks = even_cut(min64(C, ceil_div(bytes, COLUMN_BYTES)), max64(1, C / LEAST_CHANNELS),
                      s.groups, threads);
  }
  int64_t first(int64_t block) const { return block * s.group_IC() / blocks; }
  int64_t most_channels() const { return ceil_div(s.group_IC(), blocks); }
};

template <class T>
struct FewPixelInputArrays {
  T* grad_y;   // [OC][width]
  T* columns;  // [threads][c of a block][tap][width]
  int64_t column_count, bytes;

  FewPixelInputArrays(const FewPixelInputSchedule<T>& p, void* base) {
    Workspace workspace(base);
    grad_y = workspace.take<T>(p.s.OC * p.width);
    column_count = round_up(p.most_channels() * p.taps * p.width, CACHE_LINE);
    columns = workspace.take<T>(p.threads * column_count);
    bytes = workspace.bytes();
  }
};

template <class T>
void pack_grad_y(const FewPixelInputSchedule<T>& p, const T* grad_y, T* to) {
  const Strides y = p.s.y_strides();
  for (int64_t n = 0; n < p.s.N; ++n, grad_y += y.n) {
    if (y.w == 1)
      p.rows.copy_in(p.s.OC, p.image, grad_y, y.c, to + n * p.image, p.width, 0);
    else
      p.rows.transpose_in(p.image, p.s.OC, grad_y, y.w, to + n * p.image, p.width);
  }
  for (int64_t oc = 0; oc < p.s.OC; ++oc)
    for (int64_t q = p.pixels; q < p.width; ++q) to[oc * p.width + q] = 0;
}

// The columns of `channels` channels from c on.
template <class T>
void multiply_columns(const FewPixelInputSchedule<T>& p, const T* w, const T* grad_y, int64_t group,
                      int64_t c, int64_t channels, T* columns) {
  const int64_t OC = p.s.group_OC(), w_row = p.s.terms();
  const PanelCut panels(p.pixels, p.rows.lanes, ProductKernels<T>::STRIDED_VECTORS);
  for (int64_t oc = 0; oc < OC; oc += COLUMN_TERMS)
    for (int64_t i = 0; i < panels.panels; ++i) {
      const int64_t at = group * OC + oc, q = panels.first(i);
      multiply_strided(
          p.k, panels.width(i) / p.rows.lanes, channels * p.taps,
          StridedProduct<T>{min64(COLUMN_TERMS, OC - oc), w + at * w_row + c * p.taps, 1, w_row,
                            grad_y + at * p.width + q, p.width, columns + q, p.width, oc > 0});
    }
}

// Adds the columns of one channel to its pixels of one image.
template <class T>
void add_columns(const FewPixelInputSchedule<T>& p, const T* column, T* grad_x) {
  const Strides x = p.s.x_strides();
  for (int64_t ih = 0; ih < p.s.IH; ++ih)
    for (int64_t iw = 0; iw < p.s.IW; ++iw) grad_x[ih * x.h + iw * x.w] = 0;
  for (int64_t a = 0; a < p.s.KH; ++a) {
    const Window rows = inside(p.h, a);
    for (int64_t b = 0; b < p.s.KW; ++b, column += p.width) {
      const Window columns = inside(p.w, b);
      for (int64_t i = rows.first; i < rows.end; ++i) {
        const int64_t ih = i * p.h.stride + p.h.first + a * p.h.step;
        T* to = grad_x + ih * x.h + (p.w.first + b * p.w.step) * x.w;
        for (int64_t j = columns.first; j < columns.end; ++j)
          to[j * p.w.stride * x.w] += column[i * p.w.outputs + j];
      }
    }
  }
}

}  // namespace

template <class T>
int64_t few_pixel_input_workspace_bytes(const Conv2dShape& s, int threads) {
  return FewPixelInputArrays<T>(FewPixelInputSchedule<T>(s, threads), nullptr).bytes;
}

template <class T>
void few_pixel_input(const Conv2dShape& s, const BackwardInputBuffers<T>& io, void* workspace,
                     int threads) {
  const FewPixelInputSchedule<T> p(s, threads);
  const FewPixelInputArrays<T> b(p, workspace);
  pack_grad_y(p, io.grad_y, b.grad_y);
  const Strides x = s.x_strides();
  parallel_jobs(p.threads, s.groups * p.blocks, [&](int64_t job, int thread) {
    const int64_t group = job / p.blocks, first = p.first(job % p.blocks);
    const int64_t channels = p.first(job % p.blocks + 1) - first;
    T* columns = b.columns + thread * b.column_count;
    multiply_columns(p, io.w, b.grad_y, group, first, channels, columns);
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t n = 0; n < s.N; ++n)
        add_columns(p, columns + c * p.taps * p.width + n * p.image,
                    io.grad_x + n * x.n + (group * s.group_IC() + first + c) * x.c);
  });
}

#define INSTANTIATE(T)                                                          \
  template int64_t few_pixel_input_workspace_bytes<T>(const Conv2dShape&, int); \
  template void few_pixel_input(const Conv2dShape&, const BackwardInputBuffers<T>&, void*, int);
FASTCONV_FOR_EACH_SUM(INSTANTIATE)

}  // namespace fastconv::cpu
