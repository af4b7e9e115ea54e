// Winograd convolution with stride 1 and filters of 3x3 and 5x5: contract of the drivers.
// Mathematics: axis_transforms.inl; packed layouts and loop nests: docs/kernels/winograd.md. Layer:
// cpu/winograd.
#pragma once

#include <cstdint>

#include "../../core/shape.h"
#include "../common/context.h"
#include "../gemm/table.h"
#include "stages.h"
#include "table.h"

namespace fastconv::cpu {

// Each of the 36 points xi has a matrix product. t is a tile, c a channel that is summed over, m a
// channel that is written.
//
//   V[xi][t][c]   transformed input tiles       forward          M[xi] = V[xi] U[xi]
//   U[xi][c][m]   transformed filters           backward_input   the same with turned filters
//   M[xi][t][m]   transformed output tiles      backward_weight  dU[xi] = V[xi]^T dM[xi]
//
// A form packs these arrays in its own way (docs/decisions/0008). across_tiles.h has lanes = tiles
// and runs NCHW. across_channels.h has lanes = channels and runs every layout.

// The index that is summed over is split into parts of this length, one product each.
constexpr int64_t WINOGRAD_PART = PRODUCT_PART;

// y[n,m,oh,ow] = bias[m] + sum over c,kh,kw of w[m,c,kh,kw] * x[n,c, oh + kh - top, ow + kw -
// left]. With `flip` the filters are turned by 180 degrees.
struct WinogradConv {
  int64_t N, groups, C, M;  // C and M per group
  int64_t K;                // 3 or 5
  int64_t IH, IW, OH, OW;
  int64_t top, left;  // may be negative
  Strides x, w, y;    // w.n walks m, w.c walks c
  int64_t w_group;    // elements between the filters of neighbouring groups
  bool flip;
};

template <class T>
struct WinogradBuffers {
  const T *x, *w;
  Epilogue<T> epilogue;
  T* y;
  const SumOf<T>* transformed_filters;    // U of w, made by winograd_filters, or null
  const SumOf<T>* padded_bias = nullptr;  // the driver's: [group][channels in whole units]
};

// `transformed_filters` says whether buffers.transformed_filters will be given. winograd_filters needs the workspace
// of a run with them.
template <class T>
int64_t winograd_workspace_bytes(const WinogradConv& conv, int threads, bool transformed_filters);
// Returns whether the result is valid: every y is finite and below 2^64 (float64: 2^512). If one is
// not, other outputs of its tile may be wrong. `seconds` has an element for each thread, to which
// the times of the stages are added, or is null.
template <class T>
bool winograd(const WinogradConv& conv, const WinogradBuffers<T>& buffers, void* workspace,
              int threads, WinogradSeconds* seconds = nullptr);

// U depends on K, groups, C, M, the strides of w, flip and the kind, and on nothing else of `conv`.
// winograd_filter_bytes returns 0 if making U on every call is faster than keeping it.
template <class T>
int64_t winograd_filter_bytes(const WinogradConv& conv);
template <class T>
int winograd_filter_kind(const WinogradConv& conv);
template <class T>
void winograd_filters(const WinogradConv& conv, const T* w, SumOf<T>* filters, void* workspace,
                      int threads);

template <class T>
int64_t winograd_weight_workspace_bytes(const WinogradConv& conv, int threads);
// Computes grad_w, and grad_bias unless it is null, of the convolution `conv`, whose y is grad_y.
// Returns whether the result is valid: the transformed filter gradients are finite and below the
// limit of `winograd`.
template <class T>
bool winograd_weight(const WinogradConv& conv, const BackwardWeightBuffers<T>& buffers,
                     void* workspace, int threads, WinogradSeconds* seconds = nullptr);

// Return the convolution of a direction. For backward_input x is grad_y, and y is grad_x.
WinogradConv winograd_forward(const Conv2dShape& s);
WinogradConv winograd_backward_input(const Conv2dShape& s);

// The paths of the lists in ../paths.
template <class T>
Path<ForwardBuffers<T>> winograd_forward_path();
template <class T>
Path<BackwardInputBuffers<T>> winograd_backward_input_path();
template <class T>
Path<BackwardWeightBuffers<T>> winograd_backward_weight_path();

}  // namespace fastconv::cpu
