// Which family runs a convolution, and its calls on untyped addresses. Layer: cuda/paths.
#include "paths.h"

#include "../depthwise/depthwise.h"
#include "../direct/direct.h"
#include "../gemm/gemm.h"

namespace fastconv::cuda {
namespace {

// Depthwise kernels read a channel of x once for each of its output channels, so beyond some 4 of
// them the matrix product, which reads x once for 64, is expected to win. No GPU has measured it.
constexpr int64_t MOST_FILTERS = 4;

// Places within an image are 32-bit numbers; offsets of elements are 64-bit ones.
constexpr int64_t MAX_PLACE = int64_t(1) << 30;
bool fits(const Conv2dShape& s) {
  return s.IH + s.pad_top + s.pad_bottom + s.stride_h < MAX_PLACE &&
         s.IW + s.pad_left + s.pad_right + s.stride_w < MAX_PLACE &&
         product_below(MAX_PLACE, s.group_IC(), s.KH, s.KW) &&
         product_below(MAX_PLACE, s.group_OC(), s.KH, s.KW);
}

bool is_depthwise(const Conv2dShape& s) {
  return s.group_IC() == 1 && s.group_OC() <= MOST_FILTERS && s.groups > 1;
}
// The family of forward. Tensor cores multiply faster than the direct kernels, where Tuning allows
// them. No GPU has measured it.
template <class T>
Family forward_family(const Conv2dShape& s, int named, const Tuning& tuning) {
  if (named != int(Family::chosen)) return static_cast<Family>(named);
  if (is_depthwise(s)) return Family::depthwise;
  return direct_supports(s) && !may_use_tensor_cores<T>(tuning) ? Family::direct : Family::gemm;
}
Family backward_input_family(const Conv2dShape& s, int named) {
  if (named != int(Family::chosen)) return static_cast<Family>(named);
  return is_depthwise(s) ? Family::depthwise : Family::gemm;
}
// The tensor cores take grad_y of few input channels in NCHW alone.
template <class T>
Family weight_family(const Conv2dShape& s, int named, const Tuning& tuning) {
  if (named != int(Family::chosen)) return static_cast<Family>(named);
  if (is_depthwise(s)) return Family::depthwise;
  return direct_supports(s) && !tensor_weight_pixels_supports<T>(s, tuning) ? Family::direct
                                                                            : Family::gemm;
}

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace
}  // namespace fastconv::cuda

using namespace fastconv;
using namespace fastconv::cuda;

const char* fastconv_cuda_error_text(int error) {
  return cudaGetErrorString(static_cast<cudaError_t>(error));
}

int fastconv_cuda_conv2d_forward(int dtype, const Conv2dShape* s, const void* x, const void* w,
                                 const void* bias, void* y, int family, const Tuning* tuning,
                                 void* stream) {
  if (!fits(*s)) return cudaErrorInvalidValue;
  return with_element(dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto *tx = static_cast<const T*>(x), *tw = static_cast<const T*>(w);
    const auto* tb = static_cast<const T*>(bias);
    auto* ty = static_cast<T*>(y);
    switch (forward_family<T>(*s, family, *tuning)) {
      case Family::depthwise:
        return depthwise_forward(*s, tx, tw, tb, ty, *tuning, stream_of(stream));
      case Family::direct:
        return direct_forward(*s, tx, tw, tb, ty, stream_of(stream));
      default:
        return gemm_forward(*s, tx, tw, tb, ty, *tuning, stream_of(stream));
    }
  });
}

int fastconv_cuda_conv2d_backward_input(int dtype, const Conv2dShape* s, const void* grad_y,
                                        const void* w, void* grad_x, int family,
                                        const Tuning* tuning, void* stream) {
  if (!fits(*s)) return cudaErrorInvalidValue;
  return with_element(dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto *ty = static_cast<const T*>(grad_y), *tw = static_cast<const T*>(w);
    auto* tx = static_cast<T*>(grad_x);
    if (backward_input_family(*s, family) == Family::depthwise)
      return depthwise_backward_input(*s, ty, tw, tx, *tuning, stream_of(stream));
    return gemm_backward_input(*s, ty, tw, tx, *tuning, stream_of(stream));
  });
}

int64_t fastconv_cuda_conv2d_weight_workspace(int dtype, const Conv2dShape* s, int family,
                                              const Tuning* tuning) {
  int64_t bytes = -1;
  with_element(dtype, [&](auto zero) {
    using T = decltype(zero);
    const Family run = weight_family<T>(*s, family, *tuning);
    const int64_t weight = run == Family::depthwise ? depthwise_weight_workspace<T>(*s, *tuning)
                           : run == Family::direct  ? direct_weight_workspace<T>(*s, *tuning)
                                                    : gemm_weight_workspace<T>(*s, *tuning);
    bytes = max64(weight, bias_workspace<T>(*s, *tuning));  // one after the other on the stream
    return cudaSuccess;
  });
  return bytes;
}

int fastconv_cuda_conv2d_backward_weight(int dtype, const Conv2dShape* s, const void* grad_y,
                                         const void* x, void* grad_w, void* grad_bias,
                                         void* workspace, int family, const Tuning* tuning,
                                         void* stream) {
  if (!fits(*s)) return cudaErrorInvalidValue;
  return with_element(dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto *ty = static_cast<const T*>(grad_y), *tx = static_cast<const T*>(x);
    auto* tw = static_cast<T*>(grad_w);
    const Family run = weight_family<T>(*s, family, *tuning);
    cudaStream_t on = stream_of(stream);
    const cudaError_t error =
        run == Family::depthwise ? depthwise_backward_weight(*s, ty, tx, tw, workspace, *tuning, on)
        : run == Family::direct  ? direct_backward_weight(*s, ty, tx, tw, workspace, *tuning, on)
                                 : gemm_backward_weight(*s, ty, tx, tw, workspace, *tuning, on);
    if (error != cudaSuccess || !grad_bias) return error;
    return backward_bias(*s, ty, static_cast<T*>(grad_bias), workspace, *tuning, stream_of(stream));
  });
}
