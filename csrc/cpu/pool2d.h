// Contract of max_pool2d and avg_pool2d on raw pointers (formulas: ../shape.h). Layer: cpu.
// Each has one path per layout; no workspace is larger than a few rows, and drivers keep it on the
// stack of a thread's scratch. Results do not depend on `threads`.
#pragma once

#include <cstdint>

#include "../shape.h"

namespace fastconv::cpu {

// indices[n,c,oh,ow] = ih * IW + iw of the maximum; null: not wanted.
template <class T>
void max_pool2d_forward(const Pool2dShape&, const T* x, T* y, int64_t* indices, void* workspace,
                        int threads);

// grad_x[n,c, indices[n,c,oh,ow]] += grad_y[n,c,oh,ow]. False if an index is outside its plane;
// such an entry is skipped.
template <class T>
bool max_pool2d_backward(const Pool2dShape&, const T* grad_y, const int64_t* indices, T* grad_x,
                         int threads);

template <class T>
void avg_pool2d_forward(const Pool2dShape&, const T* x, T* y, void* workspace, int threads);

// grad_x[n,c,ih,iw] = sum over the windows (oh, ow) with (ih, iw) inside of grad_y[n,c,oh,ow] /
// divisor
template <class T>
void avg_pool2d_backward(const Pool2dShape&, const T* grad_y, T* grad_x, void* workspace,
                         int threads);

template <class T>
int64_t pool2d_workspace_bytes(const Pool2dShape&, int threads);

}  // namespace fastconv::cpu
