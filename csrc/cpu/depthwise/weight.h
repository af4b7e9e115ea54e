// Depthwise convolution, backward_weight. Layer: cpu/depthwise, for drivers.
#pragma once

#include "../../core/conv2d.h"

namespace fastconv::cpu {

template <class T>
int64_t depthwise_weight_bytes(const Conv2dShape&, int threads);
template <class T>
void depthwise_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, void* workspace,
                      int threads);

}  // namespace fastconv::cpu
