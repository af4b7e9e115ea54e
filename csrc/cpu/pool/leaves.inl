// The leaf kernels of the pools for one instruction set, and the table of them.
#include "../../core/dtype.h"
#include "table.h"

#include "../simd/begin.inl"
#include "../simd/twice.inl"

#include "widths.inl"
#include "rows.inl"
#include "whole_rows.inl"
#include "squares.inl"
#include "gradient_rows.inl"
#include "tiles.inl"
#include "separable.inl"
#include "pixels.inl"
#include "gradient_pixels.inl"
#include "sums.inl"

template <class T>
constexpr PoolKernels<T> make_table() {
  PoolKernels<T> k{};
  k.max = {max_pool_planes<T>,          max_gradient_square_planes<T>, max_pool_pixels<T>,
           max_pool_gradient_pixels<T>, max_pool_separable<T>,         max_pool_tiles<T>,
           max_gradient_tiles<T>,       max_gradient_square_rows<T>};
  k.lanes = LANES<T>;
  k.avg_rows = avg_pool_planes<T>;
  k.avg_gradient_rows = avg_pool_gradient_rows<T>;
  k.avg_pixels = avg_pool_pixels<T>;
  k.avg_gradient_pixels = avg_pool_gradient_pixels<T>;
  k.avg_gradient_squares = avg_gradient_square_rows<T>;
  k.pixel_mean = pixel_mean<T>;
  k.plane_means = plane_means<T>;
  return k;
}

#define TABLE PoolKernels
#define WIDE_TABLE_OF_FLOAT  // avx2_wide takes the table of avx2 for 16-bit types
#define TABLE_NAME pool_kernels
#include "../simd/end.inl"
