// The driver of backward_weight of a grouped convolution. Layer: cpu/grouped.
#pragma once

#include "../../core/conv2d.h"

namespace fastconv::cpu {

template <class T>
int64_t grouped_weight_bytes(const Conv2dShape&, int threads);
template <class T>
void grouped_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, void* workspace,
                    int threads);

}  // namespace fastconv::cpu
