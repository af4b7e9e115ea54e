// Launchers of depthwise convolution: each group has one input channel. Layer: cuda/depthwise.
// They return what the launch returned, check no arguments, and wait for nothing.
#pragma once

#include "../../core/shape.h"
#include "../common/elements.h"
#include "../common/tuning.h"

namespace fastconv::cuda {

template <class T>
cudaError_t depthwise_forward(const Conv2dShape&, const T* x, const T* w, const T* bias, T* y,
                              const Tuning&, cudaStream_t);
template <class T>
cudaError_t depthwise_backward_input(const Conv2dShape&, const T* grad_y, const T* w, T* grad_x,
                                     const Tuning&, cudaStream_t);
// workspace: depthwise_weight_workspace bytes, aligned to 8.
template <class T>
int64_t depthwise_weight_workspace(const Conv2dShape&, const Tuning&);
template <class T>
cudaError_t depthwise_backward_weight(const Conv2dShape&, const T* grad_y, const T* x, T* grad_w,
                                      void* workspace, const Tuning&, cudaStream_t);
// grad_bias[oc] = sum over n,oh,ow of grad_y[n,oc,oh,ow], for any convolution.
template <class T>
int64_t bias_workspace(const Conv2dShape&, const Tuning&);
template <class T>
cudaError_t backward_bias(const Conv2dShape&, const T* grad_y, T* grad_bias, void* workspace,
                          const Tuning&, cudaStream_t);

}  // namespace fastconv::cuda
