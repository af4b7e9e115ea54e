// The leaf kernels of one instruction set, and the table of them. Included by isa/<isa>.cpp, which
// has set ISA, VECTOR_BYTES, REGISTER_BYTES (of the CPU), REGISTERS, and TARGET: what to compile for,
// beyond the least of all CPUs.

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstdint>

#include "../kernels.h"

// From here on functions are compiled for TARGET; what is included above is not.
#if defined(TARGET)
#define FASTCONV_PRAGMA(text) _Pragma(#text)
#define FASTCONV_EXPANDED(text) FASTCONV_PRAGMA(text)
#if defined(__clang__)
FASTCONV_EXPANDED(clang attribute push(__attribute__((target(TARGET))), apply_to = function))
#else
FASTCONV_EXPANDED(GCC target(TARGET))
#endif
#endif

#define FASTCONV_LEAF inline __attribute__((always_inline))

namespace fastconv::cpu::ISA {
namespace {

#if VECTOR_BYTES == 32
alignas(64) const int32_t LANE_BITS_32[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
alignas(64) const int64_t LANE_BITS_64[8] = {-1, -1, -1, -1};
FASTCONV_LEAF __m256i first_lanes_32(int count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(LANE_BITS_32 + 8 - count));
}
FASTCONV_LEAF __m256i first_lanes_64(int count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(LANE_BITS_64 + 4 - count));
}
#endif

#include "vec.inl"
#include "shuffles.inl"

#include "conv_tiles.inl"
#include "pool_rows.inl"

#include "pool_gradient_rows.inl"
#include "pool_pixels.inl"
#include "rows.inl"
#include "panel_product.inl"
#include "winograd.inl"

// Tiles by register count: 12 accumulators of 16 registers, 24 of 32. A multiply-add takes 4 cycles
// on 2 ports, so 8 or more independent sums keep the ports busy.
constexpr bool WIDE = REGISTERS == 32;

template <class T, int VECTORS, int PIXELS>
constexpr void add_channel_tiles(Kernels<T>& k) {
  if constexpr (PIXELS > 0) {
    k.channel_tiles[VECTORS - 1][PIXELS - 1] = channel_tile<T, VECTORS, PIXELS>;
    add_channel_tiles<T, VECTORS, PIXELS - 1>(k);
  }
}

template <class T, int VECTORS, int TAPS>
constexpr void add_weight_tiles(Kernels<T>& k) {
  if constexpr (TAPS > 0) {
    k.weight_tiles[VECTORS - 1][TAPS - 1] = weight_tile<T, VECTORS, TAPS>;
    add_weight_tiles<T, VECTORS, TAPS - 1>(k);
  }
}

template <class T, int OUT, int INDEX>
constexpr WinogradRowKernels<T> winograd_rows() {
  constexpr int PIECE = LANES<T> >> INDEX;
  if constexpr (PIECE >= 4)
    return {PIECE / OUT, rows_to_points<T, OUT, PIECE>, rows_from_points<T, OUT, PIECE>};
  else
    return {};
}

// Of a K x K filter.
template <class T, int K>
constexpr WinogradKernels<T> winograd_kernels() {
  constexpr int OUT = POINTS + 1 - K;
  return {to_points<T, InputTransform>,
          to_points<T, Evaluate<K, true>>,
          from_points<T, EvaluateTransposed<OUT, false>>,
          to_points<T, Evaluate<OUT, false>, true>,
          from_points<T, EvaluateTransposed<K, true>>,
          {winograd_rows<T, OUT, 0>(), winograd_rows<T, OUT, 1>(), winograd_rows<T, OUT, 2>()}};
}

// Of panels of VECTORS, the N-th: of ROWS rows.
template <class T, int VECTORS, int N, int ROWS>
constexpr void add_panel_products(Kernels<T>& k) {
  k.panel_rows[VECTORS - 1][N] = ROWS;
  k.panel_products[0][VECTORS - 1][N] = panel_product<T, false, VECTORS, ROWS>;
  k.panel_products[1][VECTORS - 1][N] = panel_product<T, true, VECTORS, ROWS>;
}

template <class T, int TILE, int ROWS>
constexpr void add_tile_products(Kernels<T>& k) {
  k.tile_rows[TILE] = ROWS;
  k.tile_products[TILE] = panel_product<T, false, 3, ROWS>;
}

template <class T, class Code>
constexpr MaxPoolKernels<T, Code> max_pool_kernels() {
  return {max_pool_rows<T, Code>, max_pool_gradient_rows<T, Code>, max_pool_pixel<T, Code>,
          add_selected<T, Code>};
}

template <class T>
constexpr Kernels<T> make_kernels() {
  Kernels<T> k{};
  k.lanes = LANES<T>;
  k.pixel_tiles[0] = {8, WIDE ? 3 : 1, pixel_tile<T, 8, (WIDE ? 3 : 1)>};
  k.pixel_tiles[1] = {6, WIDE ? 4 : 2, pixel_tile<T, 6, (WIDE ? 4 : 2)>};
  k.pixel_tiles[2] = {4, WIDE ? 6 : 3, pixel_tile<T, 4, (WIDE ? 6 : 3)>};
  k.pixel_tiles[3] = {2, WIDE ? 8 : 4, pixel_tile<T, 2, (WIDE ? 8 : 4)>};
  k.pixel_tiles[4] = {1, WIDE ? 8 : 4, pixel_tile<T, 1, (WIDE ? 8 : 4)>};
  k.channel_pixels = WIDE ? 12 : 6;
  add_channel_tiles<T, 1, WIDE ? 12 : 6>(k);
  add_channel_tiles<T, 2, WIDE ? 12 : 6>(k);
  k.weight_taps[0] = 8;
  k.weight_taps[1] = WIDE ? 8 : 6;
  k.weight_taps[2] = WIDE ? 8 : 4;
  add_weight_tiles<T, 1, 8>(k);
  add_weight_tiles<T, 2, WIDE ? 8 : 6>(k);
  add_weight_tiles<T, 3, WIDE ? 8 : 4>(k);
  k.winograd_3x3 = winograd_kernels<T, 3>();
  k.winograd_5x5 = winograd_kernels<T, 5>();
  add_panel_products<T, 1, 0, WIDE ? 16 : 6>(k);
  add_panel_products<T, 1, 1, WIDE ? 8 : 4>(k);
  add_panel_products<T, 1, 2, WIDE ? 4 : 3>(k);
  add_panel_products<T, 1, 3, 2>(k);
  add_panel_products<T, 1, 4, 1>(k);
  add_panel_products<T, 2, 0, WIDE ? 7 : 6>(k);
  add_panel_products<T, 2, 1, WIDE ? 6 : 4>(k);
  add_panel_products<T, 2, 2, WIDE ? 4 : 3>(k);
  add_panel_products<T, 2, 3, 2>(k);
  add_panel_products<T, 2, 4, 1>(k);
  add_tile_products<T, 0, 4>(k);
  add_tile_products<T, 1, 3>(k);
  add_tile_products<T, 2, 2>(k);
  add_tile_products<T, 3, 1>(k);
  k.max_pool_bytes = max_pool_kernels<T, uint8_t>();
  k.max_pool_words = max_pool_kernels<T, int32_t>();
  k.avg_pool_rows = avg_pool_rows<T>;
  k.avg_pool_gradient_rows = avg_pool_gradient_rows<T>;
  k.avg_pool_pixel = avg_pool_pixel<T>;
  k.window_sum = window_sum<T>;
  k.add_quotient = add_quotient<T>;
  k.wait_for_streams = wait_for_streams;
  k.copy_in = copy_rows<T, false>;
  k.copy_out = copy_rows<T, true>;
  k.stream_out = REGISTER_BYTES == 64 ? stream_rows<T> : nullptr;
  k.transpose = transpose<T>;
  k.every_second = every_second<T>;
  k.add = add<T>;
  k.keyed_sum = keyed_sum;
  return k;
}

}  // namespace

extern const Kernels<float> FLOAT32 = make_kernels<float>();
#if VECTOR_BYTES == REGISTER_BYTES  // split vectors are for tests, which float suffices for
extern const Kernels<double> FLOAT64 = make_kernels<double>();
#endif

}  // namespace fastconv::cpu::ISA

#if defined(TARGET) && defined(__clang__)
#pragma clang attribute pop
#endif
