// The plain loop nests, which support every shape. They are the last path of each list, and tests
// compare other paths with them. Sums run in double. Layer: cpu/reference.
#pragma once

#include "../common/context.h"

namespace fastconv::cpu {

// The last path of each list.
template <class T>
Path<ForwardBuffers<T>> reference_forward_path();
template <class T>
Path<BackwardInputBuffers<T>> reference_backward_input_path();
template <class T>
Path<BackwardWeightBuffers<T>> reference_backward_weight_path();

// The same loops as the first path of each list. It runs shapes so small that planning and packing
// would cost more than the sums.
template <class Buffers>
Path<Buffers> tiny(Path<Buffers> reference) {
  reference.name = "tiny";
  reference.is_profitable = [](const Conv2dShape& s) -> WhyNot {
    const bool tiny = s.multiply_adds() < 1000 && s.x_count() < 1000 && s.w_count() < 1000;
    return tiny ? HOLDS : "it has 1,000 multiply-adds, inputs or weights, or more";
  };
  reference.can_be_disabled = true;
  return reference;
}

}  // namespace fastconv::cpu
