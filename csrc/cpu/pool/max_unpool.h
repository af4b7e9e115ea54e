// Contract of max_unpool on raw pointers (formula: ../../core/shape.h). Layer: cpu.
// Elements are moved and never computed, so they are taken as integers of their width. Results do not
// depend on `threads`.
#pragma once

#include <cstdint>

#include "../../core/shape.h"

namespace fastconv::cpu {

constexpr int64_t NO_INDEX = -1;

// Both return where in `indices` the first index lies that is outside of its plane, or NO_INDEX.
// Nothing is stored or read for such an index.
template <class Bits>
int64_t max_unpool_forward(const UnpoolShape&, const Bits* x, const int64_t* indices, Bits* y,
                           int threads);

// grad_x[n,c,i] = grad_y[n,c,indices[n,c,i]]
template <class Bits>
int64_t max_unpool_backward(const UnpoolShape&, const Bits* grad_y, const int64_t* indices,
                            Bits* grad_x, int threads);

}  // namespace fastconv::cpu
