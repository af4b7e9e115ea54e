// Launchers of convolution with few input channels, such as a net's first layer. Layer: cuda/direct.
// They return what the launch returned, check no arguments, and wait for nothing.
#pragma once

#include "../../core/shape.h"
#include "../common/elements.h"
#include "../common/tuning.h"

namespace fastconv::cuda {

// Beyond these the matrix product, which keeps a tile of x in shared memory, reads x less often.
constexpr int64_t DIRECT_CHANNELS = 4;
constexpr bool direct_supports(const Conv2dShape& s) {
  return s.groups == 1 && s.IC >= 1 && s.IC <= DIRECT_CHANNELS;
}

template <class T>
cudaError_t direct_forward(const Conv2dShape&, const T* x, const T* w, const T* bias, T* y,
                           cudaStream_t);
// workspace: direct_weight_workspace bytes, aligned to 8.
template <class T>
int64_t direct_weight_workspace(const Conv2dShape&, const Tuning&);
template <class T>
cudaError_t direct_backward_weight(const Conv2dShape&, const T* grad_y, const T* x, T* grad_w,
                                   void* workspace, const Tuning&, cudaStream_t);

}  // namespace fastconv::cuda
