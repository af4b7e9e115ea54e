// avg_pool2d, adaptive_avg_pool2d and their gradients (contract: pool2d.h). Layer: cpu, driver.
//
// Leaf kernels: NCHW planes row by row (rows.inl), NHWC pixels (pixels.inl).
// Adaptive NCHW windows, which have no constant stride, are summed one by one.
#include <algorithm>

#include "../../core/dtype.h"
#include "../simd/table.h"
#include "pool2d.h"
#include "jobs.h"

namespace fastconv::cpu {
namespace {

template <class T>
SumOf<T> divisor(const Pool2dShape& s, int64_t oh, int64_t ow) {
  return static_cast<SumOf<T>>(s.divisor_override ? s.divisor_override
                                                  : s.rows_divisor(oh) * s.columns_divisor(ow));
}

bool is_global(const Pool2dShape& s) {
  return s.OH == 1 && s.OW == 1 && s.rows(0).end - s.rows(0).first == s.IH && s.dilation_h == 1 &&
         s.columns(0).end - s.columns(0).first == s.IW && s.dilation_w == 1;
}

// Jobs of a global average: some planes, or channels of an image.
constexpr int64_t GLOBAL_CHANNELS = 128;  // whole lines, and all the vectors that a sweep sums

template <class T>
void forward_global(const Pool2dShape& s, const T* x, T* y, int threads) {
  const PoolKernels<T>& k = pool_kernels<T>(isa());
  const SumOf<T> count = divisor<T>(s, 0, 0);
  const int64_t pixels = s.IH * s.IW;
  const int64_t block = s.channels_last
                            ? round_up(max64(1, POOL_JOB_ELEMENTS / pixels), GLOBAL_CHANNELS)
                            : max64(16, round_up(POOL_JOB_ELEMENTS / pixels, 16));
  if (s.channels_last) {
    const int64_t blocks = ceil_div(s.C, block);
    parallel_jobs(pool_threads(s, threads), s.N * blocks, [&](int64_t job, int) {
      const int64_t n = job / blocks, c = job % blocks * block;
      k.pixel_mean(pixels, min64(block, s.C - c), x + n * pixels * s.C + c, s.C, count,
                   y + n * s.C + c);
    });
    return;
  }
  const int64_t planes = s.N * s.C;
  parallel_jobs(pool_threads(s, threads), ceil_div(planes, block), [&](int64_t job, int) {
    const int64_t first = job * block;
    k.plane_means(min64(block, planes - first), s.IH, s.IW, x + first * pixels, pixels, s.IW, count,
                  y + first, 1);
  });
}

template <class T>
void backward_global(const Pool2dShape& s, const T* grad_y, T* grad_x, int threads) {
  const SumOf<T> count = divisor<T>(s, 0, 0);
  const int64_t pixels = s.IH * s.IW, planes = s.N * s.C;
  const int64_t block = max64(1, POOL_JOB_ELEMENTS / pixels);
  parallel_jobs(pool_threads(s, threads), ceil_div(planes, block), [&](int64_t job, int) {
    for (int64_t p = job * block; p < min64((job + 1) * block, planes); ++p)
      std::fill(grad_x + p * pixels, grad_x + (p + 1) * pixels, T(grad_y[p] / count));
  });
}

// Adaptive windows over images of one pixel all hold that pixel: nets that see smaller images than
// they were made for.
bool is_one_pixel(const Pool2dShape& s) { return s.adaptive && s.IH == 1 && s.IW == 1; }

template <class T>
void forward_one_pixel(const Pool2dShape& s, const T* x, T* y, int threads) {
  const int64_t out = s.OH * s.OW, rows = s.channels_last ? s.N : s.N * s.C;
  const int64_t block = max64(1, POOL_JOB_ELEMENTS / max64(1, s.channels_last ? out * s.C : out));
  parallel_jobs(pool_threads(s, threads), ceil_div(rows, block), [&](int64_t job, int) {
    for (int64_t i = job * block; i < min64((job + 1) * block, rows); ++i)
      if (!s.channels_last)
        std::fill(y + i * out, y + (i + 1) * out, x[i]);
      else
        for (int64_t o = i * out; o < (i + 1) * out; ++o)
          std::copy(x + i * s.C, x + (i + 1) * s.C, y + o * s.C);
  });
}

// grad_x is the sum of all outputs.
template <class T>
void backward_one_pixel(const Pool2dShape& s, const T* grad_y, T* grad_x, int threads) {
  const PoolKernels<T>& k = pool_kernels<T>(isa());
  const int64_t out = s.OH * s.OW, planes = s.N * s.C;
  if (s.channels_last) {
    parallel_jobs(pool_threads(s, threads), s.N, [&](int64_t n, int) {
      k.pixel_mean(out, s.C, grad_y + n * out * s.C, s.C, 1, grad_x + n * s.C);
    });
    return;
  }
  const int64_t block = max64(16, round_up(POOL_JOB_ELEMENTS / max64(1, out), 16));
  parallel_jobs(pool_threads(s, threads), ceil_div(planes, block), [&](int64_t job, int) {
    const int64_t first = job * block;
    k.plane_means(min64(block, planes - first), s.OH, s.OW, grad_y + first * out, out, s.OW, 1,
                  grad_x + first, 1);
  });
}

// A job is some planes: each window is worked out once for all of them.
template <class T>
void forward_adaptive(const Pool2dShape& s, const T* x, T* y, int threads) {
  const PoolKernels<T>& k = pool_kernels<T>(isa());
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW, planes = s.N * s.C;
  const int64_t together = max64(1, POOL_JOB_ELEMENTS / max64(in, out));
  parallel_jobs(pool_threads(s, threads), ceil_div(planes, together), [&](int64_t job, int) {
    const int64_t begin = job * together, end = min64(begin + together, planes);
    for (int64_t oh = 0; oh < s.OH; ++oh)
      for (int64_t ow = 0; ow < s.OW; ++ow) {
        const Window rows = s.rows(oh), columns = s.columns(ow);
        const SumOf<T> count = divisor<T>(s, oh, ow);
        const T* from = x + rows.first * s.IW + columns.first;
        k.plane_means(end - begin, rows.end - rows.first, columns.end - columns.first,
                      from + begin * in, in, s.IW, count, y + begin * out + oh * s.OW + ow, out);
      }
  });
}

// As forward_adaptive; windows of neighbours may overlap, so each adds to what is there: to the sums of
// planes in the workspace, if grad_x would round them.
int64_t planes_together(const Pool2dShape& s) {
  return max64(1, POOL_JOB_ELEMENTS / max64(s.IH * s.IW, max64(1, s.OH * s.OW)));
}
template <class T>
int64_t adaptive_sums(const Pool2dShape& s) {
  return IS_WIDENED<T> ? round_up(planes_together(s) * s.IH * s.IW, 16) : 0;
}

template <class T>
void backward_adaptive(const Pool2dShape& s, const T* grad_y, T* grad_x, void* workspace,
                       int threads) {
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW, planes = s.N * s.C;
  const int64_t together = planes_together(s);
  parallel_jobs(pool_threads(s, threads), ceil_div(planes, together), [&](int64_t job, int thread) {
    const int64_t begin = job * together, end = min64(begin + together, planes);
    SumOf<T>* sums;
    if constexpr (IS_WIDENED<T>)
      sums = static_cast<SumOf<T>*>(workspace) + thread * adaptive_sums<T>(s);
    else
      sums = grad_x + begin * in;
    std::fill(sums, sums + (end - begin) * in, SumOf<T>(0));
    for (int64_t oh = 0; oh < s.OH; ++oh)
      for (int64_t ow = 0; ow < s.OW; ++ow) {
        const Window rows = s.rows(oh), columns = s.columns(ow);
        const SumOf<T> count = divisor<T>(s, oh, ow);
        for (int64_t plane = begin; plane < end; ++plane) {
          const SumOf<T> share = grad_y[plane * out + oh * s.OW + ow] / count;
          for (int64_t ih = rows.first; ih < rows.end; ++ih) {
            SumOf<T>* row = sums + (plane - begin) * in + ih * s.IW;
            for (int64_t iw = columns.first; iw < columns.end; ++iw) row[iw] += share;
          }
        }
      }
    if constexpr (IS_WIDENED<T>)
      row_kernels<T>(isa()).copy_out(1, (end - begin) * in, sums, 0, grad_x + begin * in, 0, 0);
  });
}

// Whether every window holds one element, which is its average: adaptive pools of nets that see
// smaller images than they were made for.
bool is_copy(const Pool2dShape& s) {
  const bool one = s.KH == 1 && s.KW == 1 && s.stride_h == 1 && s.stride_w == 1;
  return s.IH == s.OH && s.IW == s.OW && (s.adaptive || (one && s.pad_h == 0 && s.pad_w == 0)) &&
         s.divisor_override <= 1;
}
template <class T>
void copy(const Pool2dShape& s, const T* from, T* to, int threads) {
  constexpr int64_t BLOCK = 32 * 1024;  // elements
  const int64_t count = s.x_count();
  parallel_jobs(pool_threads(s, threads), ceil_div(count, BLOCK), [&](int64_t job, int) {
    const int64_t first = job * BLOCK;
    std::copy(from + first, from + min64(first + BLOCK, count), to + first);
  });
}

}  // namespace

template <class T>
void avg_pool2d_forward(const Pool2dShape& shape, const T* x, T* y, int threads) {
  if (shape.y_count() == 0) return;
  if (is_copy(shape)) return copy(shape, x, y, threads);
  if (is_one_pixel(shape)) return forward_one_pixel(shape, x, y, threads);
  const Pool2dShape s = tiled(shape);
  const PoolKernels<T>& k = pool_kernels<T>(isa());
  if (is_global(s)) return forward_global(s, x, y, threads);
  if (s.channels_last)
    return for_image_rows(s, s.OH, s.IW * s.stride_h, threads, [&](int64_t n, int64_t oh) {
      k.avg_pixels(s, PoolRow<T>{x + n * s.IH * s.IW * s.C, y + (n * s.OH + oh) * s.OW * s.C, oh});
    });
  if (s.adaptive) return forward_adaptive(s, x, y, threads);
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  for_row_blocks(s, s.OH, s.IW * s.stride_h, threads,
                 [&](int64_t plane, int64_t count, int64_t first, int64_t end) {
                   k.avg_rows(s, PoolPlanes<T>{x + plane * in, y + plane * out, count, first, end,
                                               x, x + s.x_count()});
                 });
}

template <class T>
int64_t avg_pool2d_backward_workspace(const Pool2dShape& shape, int threads) {
  const Pool2dShape s = tiled(shape);
  if (!s.adaptive || s.channels_last) return 0;
  return adaptive_sums<T>(s) * int64_t(sizeof(SumOf<T>)) * pool_threads(s, threads);
}

template <class T>
void avg_pool2d_backward(const Pool2dShape& shape, const T* grad_y, T* grad_x, void* workspace,
                         int threads) {
  if (shape.x_count() == 0) return;
  if (is_copy(shape)) return copy(shape, grad_y, grad_x, threads);
  if (is_one_pixel(shape) && shape.y_count() > 0)
    return backward_one_pixel(shape, grad_y, grad_x, threads);
  const Pool2dShape s = tiled(shape);
  const PoolKernels<T>& k = pool_kernels<T>(isa());
  if (s.channels_last && is_2x2_tiling(s))
    return for_image_rows(s, ceil_div(s.IH, 2), 2 * s.IW, threads, [&](int64_t n, int64_t oh) {
      k.avg_gradient_squares(s, PoolRow<T>{grad_y + n * s.OH * s.OW * s.C,
                                           grad_x + (n * s.IH + 2 * oh) * s.IW * s.C, oh});
    });
  if (s.channels_last)
    return for_image_rows(s, s.IH, s.IW, threads, [&](int64_t n, int64_t ih) {
      k.avg_gradient_pixels(
          s, PoolRow<T>{grad_y + n * s.OH * s.OW * s.C, grad_x + (n * s.IH + ih) * s.IW * s.C, ih});
    });
  if (s.y_count() > 0 && is_global(s)) return backward_global(s, grad_y, grad_x, threads);
  if (s.adaptive) return backward_adaptive(s, grad_y, grad_x, workspace, threads);
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  for_row_blocks(
      s, s.IH, s.IW, threads, [&](int64_t plane, int64_t count, int64_t first, int64_t end) {
        k.avg_gradient_rows(s, PoolPlanes<T>{grad_y + plane * out, grad_x + plane * in, count,
                                             first, end, grad_y, grad_y + s.y_count()});
      });
}

#define INSTANTIATE(T)                                                        \
  template void avg_pool2d_forward(const Pool2dShape&, const T*, T*, int);    \
  template int64_t avg_pool2d_backward_workspace<T>(const Pool2dShape&, int); \
  template void avg_pool2d_backward(const Pool2dShape&, const T*, T*, void*, int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
