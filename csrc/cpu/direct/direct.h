// Direct convolution: sums in registers over the taps of a packed band. Forward and backward_input
// share one formula with different strides (Correlation). Layer: cpu/direct, drivers.
#pragma once

#include <cstdint>

#include "../../core/shape.h"
#include "../common/context.h"
#include "../common/correlation.h"
#include "band.h"

namespace fastconv::cpu {

bool direct_supports(const Correlation&);

template <class T>
int64_t correlate_workspace_bytes(const Correlation&, int threads);

template <class T>
void correlate(const Correlation&, const T* x, const T* weight, const Epilogue<T>&, T* y,
               void* workspace, int threads);

bool direct_weight_supports(const Conv2dShape&);

template <class T>
int64_t direct_weight_workspace_bytes(const Conv2dShape&, int threads);

template <class T>
void direct_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, void* workspace,
                   int threads);

// The paths of the lists in ../paths.
template <class T>
Path<ForwardBuffers<T>> direct_forward_path();
template <class T>
Path<BackwardInputBuffers<T>> direct_backward_input_path();
template <class T>
Path<BackwardWeightBuffers<T>> direct_backward_weight_path();

}  // namespace fastconv::cpu
