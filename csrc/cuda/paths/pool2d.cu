// The pools on untyped addresses. Layer: cuda/paths.
#include "paths.h"

#include "../pool/pool2d.h"

using namespace fastconv;
using namespace fastconv::cuda;

namespace {

// Calls f(Code{}) with the type of codes.
template <class F>
cudaError_t with_code(const Pool2dShape& s, const F& f) {
  return s.byte_codes() && !s.adaptive ? f(uint8_t{}) : f(int32_t{});
}
// Calls f(T{}, Code{}) with the types of elements and of codes.
template <class F>
cudaError_t with_types(int dtype, const Pool2dShape& s, const F& f) {
  return with_element(
      dtype, [&](auto zero) { return with_code(s, [&](auto code) { return f(zero, code); }); });
}
cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

int fastconv_cuda_max_pool2d_forward(int dtype, const Pool2dShape* s, const void* x, void* y,
                                     void* codes, const Tuning* tuning, void* stream) {
  return with_types(dtype, *s, [&](auto zero, auto code) {
    using T = decltype(zero);
    return max_pool2d_forward(*s, static_cast<const T*>(x), static_cast<T*>(y),
                              static_cast<decltype(code)*>(codes), *tuning, stream_of(stream));
  });
}

int fastconv_cuda_max_pool2d_indices(const Pool2dShape* s, const void* codes, int64_t* indices,
                                     const Tuning* tuning, void* stream) {
  return with_code(*s, [&](auto code) {
    return max_pool2d_indices(*s, static_cast<const decltype(code)*>(codes), indices, *tuning,
                              stream_of(stream));
  });
}

int fastconv_cuda_max_pool2d_backward(int dtype, const Pool2dShape* s, const void* grad_y,
                                      const void* codes, void* grad_x, const Tuning* tuning,
                                      void* stream) {
  return with_types(dtype, *s, [&](auto zero, auto code) {
    using T = decltype(zero);
    return max_pool2d_backward(*s, static_cast<const T*>(grad_y),
                               static_cast<const decltype(code)*>(codes), static_cast<T*>(grad_x),
                               *tuning, stream_of(stream));
  });
}

int fastconv_cuda_avg_pool2d_forward(int dtype, const Pool2dShape* s, const void* x, void* y,
                                     const Tuning* tuning, void* stream) {
  return with_element(dtype, [&](auto zero) {
    using T = decltype(zero);
    return avg_pool2d_forward(*s, static_cast<const T*>(x), static_cast<T*>(y), *tuning,
                              stream_of(stream));
  });
}

int fastconv_cuda_avg_pool2d_backward(int dtype, const Pool2dShape* s, const void* grad_y,
                                      void* grad_x, const Tuning* tuning, void* stream) {
  return with_element(dtype, [&](auto zero) {
    using T = decltype(zero);
    return avg_pool2d_backward(*s, static_cast<const T*>(grad_y), static_cast<T*>(grad_x), *tuning,
                               stream_of(stream));
  });
}
