// Contract of max_pool2d and avg_pool2d on raw pointers (formulas: ../../core/shape.h). Layer: cpu.
// Results do not depend on `threads`.
#pragma once

#include <cstdint>

#include "../../core/shape.h"

namespace fastconv::cpu {

// codes[n,c,oh,ow] = kh * KW + kw of the maximum in its window; null: not wanted. Code is uint8_t,
// or int32_t where shape.byte_codes() is false.
template <class T, class Code>
void max_pool2d_forward(const Pool2dShape&, const T* x, T* y, Code* codes, void* workspace,
                        int threads);
// Bytes of its workspace.
template <class T>
int64_t max_pool2d_forward_workspace(const Pool2dShape&, int threads);

// indices[n,c,oh,ow] = ih * IW + iw of the maximum that a code stands for.
template <class Code>
void max_pool2d_indices(const Pool2dShape&, const Code* codes, int64_t* indices, int threads);

// Bytes of the workspaces of backward.
template <class T>
int64_t max_pool2d_backward_workspace(const Pool2dShape&, int threads);
template <class T>
int64_t avg_pool2d_backward_workspace(const Pool2dShape&, int threads);

// grad_x[n,c,ih,iw] = sum of grad_y[n,c,oh,ow] over the windows whose maximum is at (ih, iw). Codes
// that forward does not give add nothing.
template <class T, class Code>
void max_pool2d_backward(const Pool2dShape&, const T* grad_y, const Code* codes, T* grad_x,
                         void* workspace, int threads);

template <class T>
void avg_pool2d_forward(const Pool2dShape&, const T* x, T* y, int threads);

// grad_x[n,c,ih,iw] = sum over the windows (oh, ow) with (ih, iw) inside of grad_y / divisor
template <class T>
void avg_pool2d_backward(const Pool2dShape&, const T* grad_y, T* grad_x, void* workspace,
                         int threads);

}  // namespace fastconv::cpu
