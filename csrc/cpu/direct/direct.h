// Direct convolution: sums in registers over the taps of a packed band. Forward and backward_input
// share one formula with different strides (Correlation). Layer: cpu/direct, drivers.
#pragma once

#include <cstdint>

#include "../../core/shape.h"
#include "band.h"
#include "../common/context.h"

namespace fastconv::cpu {

// For each group:
//   y[n,m,i,j] = bias[m] + sum over c,a,b of
//       w[m,c,a,b] * x[n,c, i*stride_h + first_h + a*step_h, j*stride_w + first_w + b*step_w]
// with x = 0 outside the image. Strides are in elements. The tensors may be parts of larger ones.
struct Correlation {
  int64_t N, groups;
  int64_t C, M;  // of one group
  Axis h, w;
  Strides x, weight, y;  // weight: n walks m, c walks c, h walks a, w walks b
  int64_t weight_group;  // elements between the weights of neighbouring groups
};

bool correlation_fits(const Correlation&);

template <class T>
int64_t correlate_workspace_bytes(const Correlation&, int threads);

template <class T>
void correlate(const Correlation&, const T* x, const T* weight, const T* bias, T* y,
               void* workspace, int threads);

bool direct_weight_fits(const Conv2dShape&);

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
