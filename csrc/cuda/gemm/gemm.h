// Launchers of convolution as an implicit matrix product, for every shape. Layer: cuda/gemm.
// They return what the launch returned, check no arguments, and wait for nothing.
#pragma once

#include "../../core/shape.h"
#include "../common/elements.h"
#include "../common/gather.h"
#include "../common/tuning.h"

namespace fastconv::cuda {

template <class T>
cudaError_t gemm_forward(const Conv2dShape&, const T* x, const T* w, const T* bias, T* y,
                         const Tuning&, cudaStream_t);
template <class T>
cudaError_t gemm_backward_input(const Conv2dShape&, const T* grad_y, const T* w, T* grad_x,
                                cudaStream_t);
// The forward gather on tensor cores (sm_80 and later), used where Tuning asks for it: float16 and
// bfloat16, channels_last x and w, 16-byte vectors of channels.
template <class T>
bool tensor_cores_support(const Gather&, const T* in, const T* weight);
template <class T>
cudaError_t tensor_gather(const Gather&, const T* in, const T* weight, const T* bias, T* out,
                          cudaStream_t);
// workspace: gemm_weight_workspace bytes, aligned to 8.
template <class T>
int64_t gemm_weight_workspace(const Conv2dShape&, const Tuning&);
template <class T>
cudaError_t gemm_backward_weight(const Conv2dShape&, const T* grad_y, const T* x, T* grad_w,
                                 void* workspace, const Tuning&, cudaStream_t);

}  // namespace fastconv::cuda
