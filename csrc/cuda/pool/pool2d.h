// Launchers of the pools, with the contract of cpu/pool/pool2d.h. Layer: cuda/pool.
// They return what the launch returned, check no arguments, need no workspace, and wait for nothing.
#pragma once

#include "../../core/shape.h"
#include "../common/elements.h"
#include "../common/tuning.h"

namespace fastconv::cuda {

// codes[n,c,oh,ow] = kh * KW + kw of the maximum in its window; null: not wanted. Code is uint8_t,
// or int32_t where windows are adaptive or shape.byte_codes() is false. Of adaptive windows KH and KW
// are the largest extents.
template <class T, class Code>
cudaError_t max_pool2d_forward(const Pool2dShape&, const T* x, T* y, Code* codes, const Tuning&,
                               cudaStream_t);
// indices[n,c,oh,ow] = ih * IW + iw of the maximum that a code stands for.
template <class Code>
cudaError_t max_pool2d_indices(const Pool2dShape&, const Code* codes, int64_t* indices,
                               const Tuning&, cudaStream_t);
template <class T, class Code>
cudaError_t max_pool2d_backward(const Pool2dShape&, const T* grad_y, const Code* codes, T* grad_x,
                                const Tuning&, cudaStream_t);
template <class T>
cudaError_t avg_pool2d_forward(const Pool2dShape&, const T* x, T* y, const Tuning&, cudaStream_t);
template <class T>
cudaError_t avg_pool2d_backward(const Pool2dShape&, const T* grad_y, T* grad_x, const Tuning&,
                                cudaStream_t);

}  // namespace fastconv::cuda
