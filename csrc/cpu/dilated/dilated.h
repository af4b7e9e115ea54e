// Dilated convolution with stride 1, forward and backward_input: a dilated layer is many small ones
// without dilation (residues.h), which another path computes. Layer: cpu/dilated.
#pragma once

#include "../common/context.h"

namespace fastconv::cpu {

// The paths of the lists in ../paths, and the path that computes the small layers.
template <class T>
Path<ForwardBuffers<T>> dilated_winograd_forward_path();
template <class T>
Path<ForwardBuffers<T>> dilated_small_map_forward_path();
template <class T>
Path<BackwardInputBuffers<T>> dilated_winograd_backward_input_path();
template <class T>
Path<BackwardInputBuffers<T>> dilated_small_map_backward_input_path();

}  // namespace fastconv::cpu
