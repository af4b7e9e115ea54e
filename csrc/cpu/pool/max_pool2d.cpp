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

// What a code adds to the index of its window's first element. Bytes are looked up: a division
// costs more than all the rest of an index.
template <class Code>
class CodeOffsets {
 public:
  explicit CodeOffsets(const Pool2dShape& s) : shape(s) {
    for (int64_t code = 0; code < TABLED; ++code) table[code] = computed(code);
  }
  int64_t operator()(Code code) const {
    if constexpr (TABLED > 1)
      return table[code];
    else
      return computed(code);
  }

 private:
  static constexpr int64_t TABLED = sizeof(Code) == 1 ? 256 : 1;
  int64_t computed(int64_t code) const {
    return code / shape.KW * shape.dilation_h * shape.IW + code % shape.KW * shape.dilation_w;
  }
  const Pool2dShape& shape;
  int64_t table[TABLED];
};

}  // namespace

template <class Code>
void max_pool2d_indices(const Pool2dShape& s, const Code* codes, int64_t* indices, int threads) {
  if (s.y_count() == 0) return;
  const CodeOffsets<Code> offset(s);
  const auto first_of = [&](int64_t oh, int64_t ow) {
    return (oh * s.stride_h - s.pad_h) * s.IW + ow * s.stride_w - s.pad_w;
  };
  if (s.channels_last) {
    parallel_jobs(pool_threads(s, threads), s.N * s.OH, [&](int64_t job, int) {
      for (int64_t ow = 0; ow < s.OW; ++ow) {
        const int64_t first = first_of(job % s.OH, ow), at = (job * s.OW + ow) * s.C;
        for (int64_t c = at; c < at + s.C; ++c) indices[c] = first + offset(codes[c]);
      }
    });
    return;
  }
  for_row_blocks(s, s.OH, s.OW, threads, [&](int64_t plane, int64_t first, int64_t end) {
    for (int64_t oh = first; oh < end; ++oh) {
      const int64_t at = (plane * s.OH + oh) * s.OW;
      for (int64_t ow = 0; ow < s.OW; ++ow)
        indices[at + ow] = first_of(oh, ow) + offset(codes[at + ow]);
    }
  });
}

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
template void max_pool2d_indices(const Pool2dShape&, const uint8_t*, int64_t*, int);
template void max_pool2d_indices(const Pool2dShape&, const int32_t*, int64_t*, int);

}  // namespace fastconv::cpu
