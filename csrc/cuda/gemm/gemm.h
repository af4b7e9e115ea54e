// Launchers of convolution as an implicit matrix product, for every shape. Layer: cuda/gemm.
// They return what the launch returned, check no arguments, and wait for nothing.
#pragma once

#include <type_traits>

#include "../../core/shape.h"
#include "../common/elements.h"
#include "../common/gather.h"
#include "../common/tuning.h"

namespace fastconv::cuda {

// Whether a device of this Tuning multiplies elements of type T on tensor cores.
template <class T>
bool may_use_tensor_cores(const Tuning& tuning) {
  if (std::is_same_v<T, Half>) return tuning.tensor_cores >= FIRST_TENSOR_CORES;
  if (std::is_same_v<T, float> && !tuning.tf32) return false;
  return sizeof(T) <= 4 && tuning.tensor_cores >= ALL_TENSOR_CORES;
}

// Whether 16-byte copies may begin at both addresses.
inline bool are_aligned(const void* a, const void* b) {
  return (reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b)) % 16 == 0;
}

template <class T>
cudaError_t gemm_forward(const Conv2dShape&, const T* x, const T* w, const T* bias, T* y,
                         const Tuning&, cudaStream_t);
template <class T>
cudaError_t gemm_backward_input(const Conv2dShape&, const T* grad_y, const T* w, T* grad_x,
                                const Tuning&, cudaStream_t);
// The same on tensor cores, where Tuning allows them and 16-byte vectors of channels are neighbours in
// memory: x and y channels_last, and w (or w is 1x1).
template <class T>
bool tensor_cores_support(const Gather&, const T* in, const T* weight, const Tuning&);
template <class T>
cudaError_t tensor_gather(const Gather&, const T* in, const T* weight, const T* bias, T* out,
                          cudaStream_t);
template <class T>
bool tensor_weight_supports(const Conv2dShape&, const Tuning&);
template <class T>
int64_t tensor_weight_workspace(const Conv2dShape&, const Tuning&);
template <class T>
cudaError_t tensor_backward_weight(const Conv2dShape&, const T* grad_y, const T* x, T* grad_w,
                                   void* workspace, const Tuning&, cudaStream_t);
// The same on tensor cores where pixels are neighbours in memory: NCHW, of any alignment, and
// channels_last of few channels.
constexpr int64_t FEW_CHANNELS = 4;
template <class T>
bool tensor_pixels_support(const Gather& g, const Tuning& tuning) {
  return may_use_tensor_cores<T>(tuning) && (!g.channels_last || g.in.w <= FEW_CHANNELS);
}
template <class T>
cudaError_t tensor_pixels(const Gather&, const T* in, const T* weight, const T* bias, T* out,
                          cudaStream_t);
template <class T>
bool tensor_weight_pixels_supports(const Conv2dShape& s, const Tuning& tuning) {
  return may_use_tensor_cores<T>(tuning) && !s.y_channels_last &&
         (!s.x_channels_last || s.IC <= FEW_CHANNELS);
}
template <class T>
int64_t tensor_weight_pixels_workspace(const Conv2dShape&, const Tuning&);
template <class T>
cudaError_t tensor_backward_weight_pixels(const Conv2dShape&, const T* grad_y, const T* x,
                                          T* grad_w, void* workspace, const Tuning&, cudaStream_t);
// workspace: gemm_weight_workspace bytes, aligned to 8.
template <class T>
int64_t gemm_weight_workspace(const Conv2dShape&, const Tuning&);
template <class T>
cudaError_t gemm_backward_weight(const Conv2dShape&, const T* grad_y, const T* x, T* grad_w,
                                 void* workspace, const Tuning&, cudaStream_t);

}  // namespace fastconv::cuda
