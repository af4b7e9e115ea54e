// Grouped convolution: groups of 2 or more channels that are too few for a matrix product of their own.
// Layer: cpu/grouped.
#pragma once

#include "../common/context.h"

namespace fastconv::cpu {

// The paths of the lists in ../paths.
template <class T>
Path<ForwardBuffers<T>> grouped_forward_path();
template <class T>
Path<BackwardInputBuffers<T>> grouped_backward_input_path();
template <class T>
Path<BackwardWeightBuffers<T>> grouped_backward_weight_path();

}  // namespace fastconv::cpu
