// The plain loop nests: every shape, obviously right, slow. Last in each path list, and the
// reference of kernel tests. Sums run in double. Layer: cpu.
#pragma once

#include "conv2d.h"

namespace fastconv::cpu {

// So small that planning and packing would cost more than the sums; first in each path list.
inline bool is_tiny(const Conv2dShape& s) {
  return s.multiply_adds() < 1000 && s.x_count() < 1000 && s.w_count() < 1000;
}
inline bool accepts_any(const Conv2dShape&) { return true; }
inline int64_t no_workspace(const Conv2dShape&, int) { return 0; }

// They return true.
template <class T>
bool reference_forward(const Conv2dShape&, const ForwardBuffers<T>&, void* workspace, int threads);

template <class T>
bool reference_backward_input(const Conv2dShape&, const BackwardInputBuffers<T>&, void* workspace,
                              int threads);

template <class T>
bool reference_backward_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, void* workspace,
                               int threads);

}  // namespace fastconv::cpu
