// The table of Winograd's transforms for one instruction set. Layer: cpu/winograd.
#include "../../core/dtype.h"
#include "table.h"

#include "../simd/begin.inl"

#include "axis_transforms.inl"
#include "channel_transforms.inl"
#include "tile_transforms.inl"

template <class T, int OUT, int INDEX>
constexpr WinogradRowKernels<T> winograd_rows() {
  constexpr int PIECE = LANES<T> >> INDEX;
  if constexpr (PIECE >= 4)
    return {PIECE / OUT, rows_to_points<T, OUT, PIECE>, rows_from_points<T, OUT, PIECE>};
  else
    return {};
}

// The transforms for K x K filters.
template <class T, int K>
constexpr WinogradTransforms<T> transforms() {
  constexpr int OUT = outputs_of_tile(K);
  return {to_points<T, InputTransform>,
          to_points<T, Evaluate<K, true>>,
          from_points<T, EvaluateTransposed<OUT, false>, false>,
          to_points<T, Evaluate<OUT, false>, true>,
          from_points<T, EvaluateTransposed<K, true>, true>,
          {winograd_rows<T, OUT, 0>(), winograd_rows<T, OUT, 1>(), winograd_rows<T, OUT, 2>()}};
}

template <class T>
constexpr WinogradKernels<T> make_table() {
  WinogradKernels<T> k{};
  k.filters_3x3 = transforms<T, 3>();
  k.filters_5x5 = transforms<T, 5>();
  return k;
}

#define TABLE WinogradKernels
#define TABLE_TYPES FASTCONV_FOR_EACH_SUM
#define TABLE_NAME winograd_kernels
#include "../simd/end.inl"
