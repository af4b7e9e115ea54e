// Winograd convolution: stride 1, filters of 3x3 and 5x5 (mathematics: transforms.inl). Layer:
// cpu, driver.
//
// Three products at each of 36 points xi, all by one kernel (panel_product); t is a tile, c and m the
// channels summed over and written:
//
//   V[xi][t][c]       points of the input tiles        forward          M[xi] = V[xi] U[xi]
//   U[xi][c][m]       points of the filters            backward_input   the same, filters turned
//   M[xi][t][m]       points of the output tiles       backward_weight  dU[xi] = V[xi]^T dM[xi]
//
// A form packs these arrays its own way (across_tiles.h: lanes = tiles, of NCHW;
// across_channels.h: lanes = channels, of everything; docs/decisions/0008). In both, what
// is summed over comes in parts of PART, one product each.
#pragma once

#include <cstdint>

#include "../../core/shape.h"
#include "../common/context.h"
#include "../gemm/table.h"
#include "phases.h"
#include "table.h"

namespace fastconv::cpu {

// What is summed over comes in parts, rows of WINOGRAD_PART: the length of a sum in one product.
constexpr int64_t WINOGRAD_PART = PRODUCT_PART;

// y[n,m,oh,ow] = bias[m] + sum over c,kh,kw of w[m,c,kh,kw] * x[n,c, oh + kh - top, ow + kw - left],
// both axes of w turned round if `flip`.
struct WinogradConv {
  int64_t N, groups, C, M;  // C and M per group
  int64_t K;                // 3 or 5
  int64_t IH, IW, OH, OW;
  int64_t top, left;  // may be negative
  Strides x, w, y;    // w.n walks m, w.c walks c
  int64_t w_group;    // from the filters of one group to those of the next
  bool flip;
};

template <class T>
struct WinogradBuffers {
  const T *x, *w, *bias;  // bias: or null
  T* y;
  const T* filters;  // U of w, as winograd_filters left it, or null
};

// `ready_filters`: whether buffers.filters will be there. winograd_filters needs no more than that.
template <class T>
int64_t winograd_workspace_bytes(const WinogradConv& conv, int threads, bool ready_filters);
// Returns whether the result stands: every y is finite and below 2^64 (float64: 2^512); where one is
// not, others of its tile may be wrong. `seconds`: [threads] to add to, or null.
template <class T>
bool winograd(const WinogradConv& conv, const WinogradBuffers<T>& buffers, void* workspace,
              int threads, WinogradSeconds* seconds = nullptr);

// U, which depends on nothing of `conv` but K, groups, C, M, the strides of w, flip, and its kind. 0
// bytes where it is better made on every call than kept.
template <class T>
int64_t winograd_filter_bytes(const WinogradConv& conv);
template <class T>
int winograd_filter_kind(const WinogradConv& conv);
template <class T>
void winograd_filters(const WinogradConv& conv, const T* w, T* filters, void* workspace,
                      int threads);

template <class T>
int64_t winograd_weight_workspace_bytes(const WinogradConv& conv, int threads);
// grad_w and grad_bias (or null) of the convolution `conv`, whose y is grad_y. Returns whether the
// result stands, as winograd does, for the points of grad_w.
template <class T>
bool winograd_weight(const WinogradConv& conv, const BackwardWeightBuffers<T>& buffers,
                     void* workspace, int threads, WinogradSeconds* seconds = nullptr);

// The convolution of a direction; backward_input's x is grad_y, and its y is grad_x.
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
