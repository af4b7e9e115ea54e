// The path lists of conv2d on a CPU, one for each direction, and what their estimates count
// (estimates.h, costs.h). Layer: cpu/paths.
#pragma once

#include "../../core/dtype.h"
#include "../common/context.h"

namespace fastconv::cpu {

template <class T>
Paths<ForwardBuffers<T>> conv2d_forward_paths();
template <class T>
Paths<BackwardInputBuffers<T>> conv2d_backward_input_paths();
template <class T>
Paths<BackwardWeightBuffers<T>> conv2d_backward_weight_paths();

}  // namespace fastconv::cpu
