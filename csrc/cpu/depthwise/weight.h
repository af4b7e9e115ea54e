// Depthwise convolution, backward_weight. Layer: cpu/depthwise, for drivers.
#pragma once

#include "../../core/conv2d.h"

namespace fastconv::cpu {

template <class T>
int64_t depthwise_weight_bytes(const Conv2dShape&, int threads);
// Whether planes are read as they lie in memory (plane_weight.h).
template <class T>
bool depthwise_weight_runs_in_planes(const Conv2dShape&);
template <class T>
void depthwise_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, void* workspace,
                      int threads);

}  // namespace fastconv::cpu
