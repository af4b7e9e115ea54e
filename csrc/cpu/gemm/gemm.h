// GEMM convolution: one matrix product over a patch matrix. Jobs pack the patch matrix piece by
// piece. Layer: cpu/gemm, drivers.
#pragma once

#include "../common/context.h"
#include "../common/correlation.h"

namespace fastconv::cpu {

// Formula: Correlation, with an epilogue of y.
template <class T>
int64_t gemm_workspace_bytes(const Correlation&, int threads);
template <class T>
void gemm_correlate(const Correlation&, const T* x, const T* weight, const Epilogue<T>&, T* y,
                    void* workspace, int threads);

// Two correlations whose outputs are the even and the odd pixels of rows of y, without bias. `pairs`
// says whether two are such a pair; y belongs to the first.
bool gemm_pairs(const Correlation& even, const Correlation& odd);
template <class T>
int64_t gemm_pair_workspace_bytes(const Correlation& even, const Correlation& odd, int threads);
template <class T>
void gemm_correlate_pair(const Correlation (&s)[2], const T* x, const T* const (&weight)[2], T* y,
                         void* workspace, int threads);

// backward_input of filters that do not overlap, in one product (apart.h).
template <class T>
int64_t gemm_apart_workspace_bytes(const Conv2dShape&, int threads);
template <class T>
void gemm_apart(const Conv2dShape&, const T* grad_y, const T* w, T* grad_x, void* workspace,
                int threads);

// gemm_correlate for maps of a few pixels. x is dense, with channels first or last.
template <class T>
int64_t small_map_workspace_bytes(const Correlation&, int threads);
template <class T>
void small_map_correlate(const Correlation&, const T* x, const T* weight, const Epilogue<T>&, T* y,
                         void* workspace, int threads);

// backward_input of a few pixels, which reads w in place: where has_few_pixels (weights.h) says so.
template <class T>
int64_t few_pixel_input_workspace_bytes(const Conv2dShape&, int threads);
template <class T>
void few_pixel_input(const Conv2dShape&, const BackwardInputBuffers<T>&, void* workspace,
                     int threads);

template <class T>
int64_t gemm_weight_workspace_bytes(const Conv2dShape&, int threads);
template <class T>
void gemm_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, void* workspace, int threads);

// The paths of the lists in ../paths.
template <class T>
Path<ForwardBuffers<T>> small_map_forward_path();
template <class T>
Path<BackwardInputBuffers<T>> small_map_backward_input_path();
template <class T>
Path<ForwardBuffers<T>> gemm_forward_path();
template <class T>
Path<BackwardInputBuffers<T>> gemm_backward_input_path();
template <class T>
Path<BackwardWeightBuffers<T>> gemm_backward_weight_path();

}  // namespace fastconv::cpu
