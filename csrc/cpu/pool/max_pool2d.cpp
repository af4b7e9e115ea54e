// max_pool2d and its gradient (contract: pool2d.h). Layer: cpu, driver.
//
// Leaf kernels: NCHW planes row by row (rows.inl), NHWC pixels (pixels.inl), overlapping windows by
// rows and columns (separable.inl), small NCHW maps as a stream (tiles.inl). Gradients gather
// (gradient_rows.inl, gradient_pixels.inl) or scatter (scatter.h).
#include "../../core/dtype.h"
#include "pool2d.h"
#include "jobs.h"
#include "scatter.h"

namespace fastconv::cpu {
namespace {

// ---- by rows and columns (separable.inl) ---------------------------------------------------------

constexpr int64_t SEPARABLE_WINDOW = 9;          // elements from which it is tried
constexpr int64_t SEPARABLE_BYTES = 128 * 1024;  // of a block: it stays in L2, beside what is read
constexpr int64_t SEPARABLE_MOST_BYTES = 1 << 20;  // of the workspace of a thread

// Elements of a pixel of a block.
template <class T>
int64_t separable_pixel(const Pool2dShape& s) {
  return s.channels_last ? pool_kernels<T>(isa()).lanes : 1;
}

// Output rows of a block. Windows of neighbouring blocks overlap in KH - 1 rows, so at least KH.
template <class T>
int64_t separable_rows(const Pool2dShape& s) {
  const int64_t row = 2 * sizeof(SumOf<T>) * (s.OW + s.KW - 1) * separable_pixel<T>(s);
  return clamp64(SEPARABLE_BYTES / row - s.KH + 1, min64(s.KH, s.OH), s.OH);
}

template <class T>
int64_t separable_bytes(const Pool2dShape& s) {
  const int64_t lanes = pool_kernels<T>(isa()).lanes;
  return 2 * sizeof(SumOf<T>) *
         separable_elements(s, separable_rows<T>(s), separable_pixel<T>(s), lanes);
}

template <class T>
bool is_separable(const Pool2dShape& s) {
  return !s.adaptive && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 &&
         s.dilation_w == 1 && s.KH * s.KW >= SEPARABLE_WINDOW && s.y_count() > 0 &&
         separable_bytes<T>(s) <= SEPARABLE_MOST_BYTES;
}

// A job is a block of a few planes, or of LANES channels of an image.
template <class T, class Code>
void forward_separable(const Pool2dShape& s, const T* x, T* y, Code* codes, void* workspace,
                       int threads) {
  const auto& k = pool_kernels<T>(isa()).max;
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  const int64_t rows = separable_rows<T>(s), bands = ceil_div(s.OH, rows);
  const int64_t lanes = pool_kernels<T>(isa()).lanes, bytes = separable_bytes<T>(s);
  const int64_t planes = s.channels_last ? s.N * ceil_div(s.C, lanes) : s.N * s.C;
  const int64_t together =
      s.channels_last ? 1 : max64(1, POOL_JOB_ELEMENTS / max64(1, rows * s.OW));
  const int64_t groups = ceil_div(planes, together);
  parallel_jobs(pool_threads(s, threads), groups * bands, [&](int64_t job, int thread) {
    auto* scratch = reinterpret_cast<SumOf<T>*>(static_cast<char*>(workspace) + thread * bytes);
    const int64_t first = job % bands * rows, end = min64(first + rows, s.OH);
    const int64_t group = job / bands * together;
    for (int64_t plane = group; plane < min64(group + together, planes); ++plane) {
      int64_t from = plane * in, to = plane * out;
      int channels = 0;
      if (s.channels_last) {
        const int64_t blocks = ceil_div(s.C, lanes), n = plane / blocks;
        const int64_t c = plane % blocks * lanes;
        from = n * in * s.C + c;
        to = n * out * s.C + c;
        channels = static_cast<int>(min64(lanes, s.C - c));
      }
      k.separable(s, PoolPlanes<T>{x + from, y + to, 1, first, end, x, x + s.x_count()}, channels,
                  scratch, codes ? codes + to : nullptr);
    }
  });
}

// ---- choices -------------------------------------------------------------------------------------

// A gather compares the codes of each output over a vector of pixels; a scatter looks at each output
// once, an element at a time. In NCHW only windows that tile gather.
constexpr int64_t GATHERED_OUTPUTS = 5;  // over a pixel, at most
bool scatters(const Pool2dShape& s) {
  if (!s.channels_last) return s.adaptive || !is_2x2_tiling(s);
  return !s.adaptive && s.KH * s.KW > GATHERED_OUTPUTS * s.stride_h * s.stride_w;
}

// Windows of 2 x 2 that tile maps whose rows of outputs divide a vector (tiles.inl).
template <class T>
bool is_stream_of_tiles(const Pool2dShape& s) {
  return !s.channels_last && !s.adaptive && is_2x2_tiling(s) && s.IH == 2 * s.OH &&
         s.IW == 2 * s.OW && s.OW < pool_kernels<T>(isa()).lanes && (s.OW & (s.OW - 1)) == 0;
}

// Calls f(first, count) for parts of all outputs.
template <class F>
void for_outputs(const Pool2dShape& s, int threads, const F& f) {
  const int64_t all = s.y_count();
  parallel_jobs(pool_threads(s, threads), ceil_div(all, POOL_JOB_ELEMENTS), [&](int64_t job, int) {
    const int64_t first = job * POOL_JOB_ELEMENTS;
    f(first, min64(POOL_JOB_ELEMENTS, all - first));
  });
}

// Adaptive windows of NCHW planes, which have no constant stride, are scanned one by one.
template <class T, class Code>
void forward_adaptive(const Pool2dShape& s, const T* x, T* y, Code* codes, int threads) {
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  parallel_jobs(pool_threads(s, threads), s.N * s.C, [&](int64_t plane, int) {
    for (int64_t oh = 0; oh < s.OH; ++oh)
      for (int64_t ow = 0; ow < s.OW; ++ow) {
        const Window rows = s.rows(oh), columns = s.columns(ow);
        const T* image = x + plane * in;
        SumOf<T> best = image[rows.first * s.IW + columns.first];
        int64_t code = 0;
        for (int64_t ih = rows.first; ih < rows.end; ++ih)
          for (int64_t iw = columns.first; iw < columns.end; ++iw) {
            const SumOf<T> other = image[ih * s.IW + iw];
            if (!(other > best || other != other)) continue;
            best = other;
            code = (ih - rows.first) * s.KW + iw - columns.first;
          }
        const int64_t to = plane * out + oh * s.OW + ow;
        y[to] = best;
        if (codes) codes[to] = static_cast<Code>(code);
      }
  });
}

// Indices of this size are read by nobody soon, and would push everything else out of the caches.
constexpr int64_t STREAMED_INDEX_BYTES = 1 << 20;

template <bool PAST_CACHES, class Code>
void write_indices(const Pool2dShape& shape, const Code* codes, int64_t* indices, int threads) {
  const Pool2dShape s = shape;  // a copy of our own, which stores cannot change
  const CodePlaces<Code> places(s, 1);
  if (s.channels_last) {
    for_image_rows(s, s.OH, s.OW, threads, [&](int64_t n, int64_t oh) {
      int64_t at = (n * s.OH + oh) * s.OW * s.C;
      for (int64_t ow = 0; ow < s.OW; ++ow, at += s.C)
        place_outputs<PAST_CACHES>(places, s.C, codes + at,
                                   s.row_start(oh) * s.IW + s.column_start(ow), 0, indices + at);
      if (PAST_CACHES) wait_for_elements();
    });
    return;
  }
  for_row_blocks(
      s, s.OH, s.OW, threads, [&](int64_t plane, int64_t count, int64_t first, int64_t end) {
        for (int64_t p = plane; p < plane + count; ++p)
          for (int64_t oh = first; oh < end; ++oh) {
            const int64_t at = (p * s.OH + oh) * s.OW, row = s.row_start(oh) * s.IW;
            const int64_t together = s.adaptive ? 1 : s.OW;  // with a constant stride
            for (int64_t ow = 0; ow < s.OW; ow += together)
              place_outputs<PAST_CACHES>(places, together, codes + at + ow,
                                         row + s.column_start(ow), s.stride_w, indices + at + ow);
          }
        if (PAST_CACHES) wait_for_elements();
      });
}

}  // namespace

template <class Code>
void max_pool2d_indices(const Pool2dShape& s, const Code* codes, int64_t* indices, int threads) {
  if (s.y_count() == 0) return;
  if (s.y_count() * int64_t(sizeof(int64_t)) >= STREAMED_INDEX_BYTES)
    write_indices<true>(s, codes, indices, threads);
  else
    write_indices<false>(s, codes, indices, threads);
}

template <class T>
int64_t max_pool2d_forward_workspace(const Pool2dShape& shape, int threads) {
  const Pool2dShape s = tiled(shape);
  return is_separable<T>(s) ? separable_bytes<T>(s) * pool_threads(s, threads) : 0;
}

template <class T, class Code>
void max_pool2d_forward(const Pool2dShape& shape, const T* x, T* y, Code* codes, void* workspace,
                        int threads) {
  if (shape.y_count() == 0) return;
  const Pool2dShape s = tiled(shape);
  const auto& k = pool_kernels<T>(isa()).max;
  const auto codes_at = [&](int64_t i) { return codes ? codes + i : nullptr; };
  if (is_separable<T>(s)) return forward_separable(s, x, y, codes, workspace, threads);
  if (s.channels_last)
    return for_image_rows(s, s.OH, s.IW * s.stride_h, threads, [&](int64_t n, int64_t oh) {
      const int64_t to = (n * s.OH + oh) * s.OW * s.C;
      k.pixels(s, PoolRow<T>{x + n * s.IH * s.IW * s.C, y + to, oh}, codes_at(to));
    });
  if (s.adaptive) return forward_adaptive(s, x, y, codes, threads);
  if (is_stream_of_tiles<T>(s))
    return for_outputs(s, threads, [&](int64_t first, int64_t count) {
      k.tiles(s.OW, count, x + 4 * first, y + first, codes_at(first));
    });
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  for_row_blocks(s, s.OH, s.IW * s.stride_h, threads,
                 [&](int64_t plane, int64_t count, int64_t first, int64_t end) {
                   k.rows(s,
                          PoolPlanes<T>{x + plane * in, y + plane * out, count, first, end, x,
                                        x + s.x_count()},
                          codes_at(plane * out));
                 });
}

template <class T>
int64_t max_pool2d_backward_workspace(const Pool2dShape& shape, int threads) {
  const Pool2dShape s = tiled(shape);
  return scatters(s) ? scatter_workspace<T>(s, threads) : 0;
}

template <class T, class Code>
void max_pool2d_backward(const Pool2dShape& shape, const T* grad_y, const Code* codes, T* grad_x,
                         void* workspace, int threads) {
  if (shape.x_count() == 0) return;
  const Pool2dShape s = tiled(shape);
  const auto& k = pool_kernels<T>(isa()).max;
  if (scatters(s)) return scatter_gradient(s, grad_y, codes, grad_x, workspace, threads);
  if (is_stream_of_tiles<T>(s))
    return for_outputs(s, threads, [&](int64_t first, int64_t count) {
      k.gradient_tiles(s.OW, count, grad_y + first, codes + first, grad_x + 4 * first);
    });
  if (s.channels_last && is_2x2_tiling(s))
    return for_image_rows(s, ceil_div(s.IH, 2), 2 * s.IW, threads, [&](int64_t n, int64_t oh) {
      const int64_t image = n * s.OH * s.OW * s.C;
      k.gradient_squares(s,
                         PoolRow<T>{grad_y + image, grad_x + (n * s.IH + 2 * oh) * s.IW * s.C, oh},
                         codes + image);
    });
  if (s.channels_last)
    return for_image_rows(s, s.IH, s.IW, threads, [&](int64_t n, int64_t ih) {
      const int64_t image = n * s.OH * s.OW * s.C;
      k.gradient_pixels(s, PoolRow<T>{grad_y + image, grad_x + (n * s.IH + ih) * s.IW * s.C, ih},
                        codes + image);
    });
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  for_row_blocks(s, s.IH, s.IW, threads,
                 [&](int64_t plane, int64_t count, int64_t first, int64_t end) {
                   k.gradient_rows(s,
                                   PoolPlanes<T>{grad_y + plane * out, grad_x + plane * in, count,
                                                 first, end, grad_y, grad_y + s.y_count()},
                                   codes + plane * out);
                 });
}

#define INSTANTIATE_CODE(T, CODE)                                                        \
  template void max_pool2d_forward(const Pool2dShape&, const T*, T*, CODE*, void*, int); \
  template void max_pool2d_backward(const Pool2dShape&, const T*, const CODE*, T*, void*, int);
#define INSTANTIATE(T)                                                        \
  template int64_t max_pool2d_forward_workspace<T>(const Pool2dShape&, int);  \
  template int64_t max_pool2d_backward_workspace<T>(const Pool2dShape&, int); \
  INSTANTIATE_CODE(T, uint8_t)                                                \
  INSTANTIATE_CODE(T, int32_t)
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)
template void max_pool2d_indices(const Pool2dShape&, const uint8_t*, int64_t*, int);
template void max_pool2d_indices(const Pool2dShape&, const int32_t*, int64_t*, int);

}  // namespace fastconv::cpu
