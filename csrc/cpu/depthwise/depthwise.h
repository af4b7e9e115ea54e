// Depthwise convolution: every output channel reads one input channel (formulas: correlate.cpp,
// weight.cpp). Layer: cpu/depthwise.
#pragma once

#include "../common/context.h"

namespace fastconv::cpu {

// The paths of the lists in ../paths.
template <class T>
Path<ForwardBuffers<T>> depthwise_forward_path();
template <class T>
Path<BackwardInputBuffers<T>> depthwise_backward_input_path();
template <class T>
Path<BackwardWeightBuffers<T>> depthwise_backward_weight_path();

}  // namespace fastconv::cpu
