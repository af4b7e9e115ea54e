// max_pool2d and its gradient (contract: pool2d.h). Layer: cpu, driver.
//
// Leaf kernels: NCHW planes row by row (rows.inl), NHWC pixels (pixels.inl).
#include "../../core/dtype.h"
#include "pool2d.h"
#include "jobs.h"

namespace fastconv::cpu {
namespace {

template <class T>
const MaxPoolKernels<T, uint8_t>& max_pool_kernels(uint8_t) {
  return pool_kernels<T>(isa()).max_bytes;
}
template <class T>
const MaxPoolKernels<T, int32_t>& max_pool_kernels(int32_t) {
  return pool_kernels<T>(isa()).max_words;
}

template <class T, class Code>
void forward_nhwc(const Pool2dShape& s, const T* x, T* y, Code* codes, int threads) {
  const auto& k = max_pool_kernels<T>(Code{});
  parallel_jobs(pool_threads(s, threads), s.N * s.OH, [&](int64_t job, int) {
    const int64_t n = job / s.OH, oh = job % s.OH;
    const Window rows = s.rows(oh);
    const int64_t kh = (rows.first - (oh * s.stride_h - s.pad_h)) / s.dilation_h;
    for (int64_t ow = 0; ow < s.OW; ++ow) {
      const Window columns = s.columns(ow);
      const int64_t kw = (columns.first - (ow * s.stride_w - s.pad_w)) / s.dilation_w;
      const int64_t at = (job * s.OW + ow) * s.C;
      k.pixel(PoolPixel<T>{s.C, ceil_div(rows.end - rows.first, s.dilation_h),
                           ceil_div(columns.end - columns.first, s.dilation_w),
                           s.dilation_h * s.IW * s.C, s.dilation_w * s.C,
                           x + ((n * s.IH + rows.first) * s.IW + columns.first) * s.C, y + at},
              codes ? codes + at : nullptr, kh * s.KW + kw, s.KW);
    }
  });
}

}  // namespace

template <class T, class Code>
void max_pool2d_forward(const Pool2dShape& s, const T* x, T* y, Code* codes, int threads) {
  if (s.y_count() == 0) return;
  if (s.channels_last) return forward_nhwc(s, x, y, codes, threads);
  const auto& k = max_pool_kernels<T>(Code{});
  const int64_t input = s.IH * s.IW, output = s.OH * s.OW;
  for_row_blocks(s, s.OH, s.IW * s.stride_h, threads,
                 [&](int64_t plane, int64_t first, int64_t end) {
                   k.rows(s, PoolPlane<T>{x + plane * input, y + plane * output, first, end},
                          codes ? codes + plane * output : nullptr);
                 });
}

template <class T, class Code>
void max_pool2d_backward(const Pool2dShape& s, const T* grad_y, const Code* codes, T* grad_x,
                         int threads) {
  if (s.x_count() == 0) return;
  const auto& k = max_pool_kernels<T>(Code{});
  if (s.channels_last)
    return gather_gradient(s, grad_x, threads,
                           [&](int64_t C, int64_t from, int64_t, int64_t, int64_t code, T* to) {
                             k.add_selected(C, grad_y + from, codes + from, code, to);
                           });
  const int64_t input = s.IH * s.IW, output = s.OH * s.OW;
  for_row_blocks(s, s.IH, s.IW, threads, [&](int64_t plane, int64_t first, int64_t end) {
    k.gradient_rows(s, PoolPlane<T>{grad_y + plane * output, grad_x + plane * input, first, end},
                    codes + plane * output);
  });
}

#define INSTANTIATE_CODE(T, CODE)                                                 \
  template void max_pool2d_forward(const Pool2dShape&, const T*, T*, CODE*, int); \
  template void max_pool2d_backward(const Pool2dShape&, const T*, const CODE*, T*, int);
#define INSTANTIATE(T)         \
  INSTANTIATE_CODE(T, uint8_t) \
  INSTANTIATE_CODE(T, int32_t)
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
