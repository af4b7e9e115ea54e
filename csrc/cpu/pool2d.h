// Contract of max_pool2d and avg_pool2d on raw pointers (formulas: ../shape.h). Layer: cpu.
// Results do not depend on `threads`. `workspace`: pool2d_workspace_bytes(), aligned to a cache
// line.
#pragma once

#include <cstdint>

#include "../shape.h"

namespace fastconv::cpu {

// indices[n,c,oh,ow] = ih * IW + iw of the maximum; null: not wanted.
template <class T>
void max_pool2d_forward(const Pool2dShape&, const T* x, T* y, int64_t* indices, int threads);

// grad_x[n,c,ih,iw] = sum over the windows (oh, ow) with indices[n,c,oh,ow] == ih * IW + iw of
// grad_y[n,c,oh,ow]. Indices must be those of forward; others give some sum of grad_y, and touch no
// memory beyond grad_x.
template <class T>
void max_pool2d_backward(const Pool2dShape&, const T* grad_y, const int64_t* indices, T* grad_x,
                         int threads);

template <class T>
void avg_pool2d_forward(const Pool2dShape&, const T* x, T* y, int threads);

// grad_x[n,c,ih,iw] = sum over the windows (oh, ow) with (ih, iw) inside of grad_y / divisor
template <class T>
void avg_pool2d_backward(const Pool2dShape&, const T* grad_y, T* grad_x, int threads);

}  // namespace fastconv::cpu
