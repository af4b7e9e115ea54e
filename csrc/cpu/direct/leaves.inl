// The table of direct convolution for one instruction set. Layer: cpu/direct.
#include "../../core/dtype.h"
#include "table.h"

#include "../simd/begin.inl"

#include "tiles.inl"

// CHANNELS, VECTORS of each tile.
template <class T, int CHANNELS, int VECTORS, int... REST>
constexpr void add_pixel_tiles(DirectKernels<T>& k) {
  k.pixel_tiles[k.pixel_tile_count++] = {CHANNELS, VECTORS, pixel_tile<T, CHANNELS, VECTORS>};
  if constexpr (sizeof...(REST) > 0) add_pixel_tiles<T, REST...>(k);
}

template <class T, int VECTORS, int PIXELS>
constexpr void add_channel_tiles(DirectKernels<T>& k) {
  if constexpr (PIXELS > 0) {
    k.channel_tiles[VECTORS - 1][PIXELS - 1] = channel_tile<T, VECTORS, PIXELS>;
    add_channel_tiles<T, VECTORS, PIXELS - 1>(k);
  }
}

template <class T, int VECTORS, int TAPS>
constexpr void add_weight_tiles(DirectKernels<T>& k) {
  if constexpr (TAPS > 0) {
    k.weight_tiles[VECTORS - 1][TAPS - 1] = weight_tile<T, VECTORS, TAPS>;
    add_weight_tiles<T, VECTORS, TAPS - 1>(k);
  }
}

template <class T, int CHANNELS, int TAPS>
constexpr void add_weight_pixel_tiles(DirectKernels<T>& k) {
  if constexpr (TAPS > 0) {
    k.weight_pixel_tiles[CHANNELS - 1][TAPS - 1] = weight_pixel_tile<T, CHANNELS, TAPS>;
    add_weight_pixel_tiles<T, CHANNELS, TAPS - 1>(k);
  }
}
template <class T, int CHANNELS>
constexpr void add_weight_channels(DirectKernels<T>& k) {
  constexpr int FIT = (WIDE ? 24 : 12) / CHANNELS, MOST = DirectKernels<T>::WEIGHT_PIXEL_TAPS;
  constexpr int TAPS = FIT < MOST ? FIT : MOST;
  k.weight_pixel_taps[CHANNELS - 1] = TAPS;
  add_weight_pixel_tiles<T, CHANNELS, TAPS>(k);
  if constexpr (CHANNELS > 1) add_weight_channels<T, CHANNELS - 1>(k);
}

template <class T>
constexpr DirectKernels<T> make_table() {
  DirectKernels<T> k{};
  if constexpr (WIDE)
    add_pixel_tiles<T, 8, 3, 6, 4, 4, 6, 2, 8, 1, 8>(k);
  else
    add_pixel_tiles<T, 4, 3, 3, 3, 2, 5, 1, 6>(k);
  k.channel_pixels = WIDE ? 12 : 6;
  add_channel_tiles<T, 1, WIDE ? 12 : 6>(k);
  add_channel_tiles<T, 2, WIDE ? 12 : 6>(k);
  k.weight_taps[0] = 8;
  k.weight_taps[1] = WIDE ? 8 : 6;
  k.weight_taps[2] = WIDE ? 8 : 4;
  add_weight_tiles<T, 1, 8>(k);
  add_weight_tiles<T, 2, WIDE ? 8 : 6>(k);
  add_weight_tiles<T, 3, WIDE ? 8 : 4>(k);
  add_weight_channels<T, DirectKernels<T>::WEIGHT_CHANNELS>(k);
  return k;
}

#define TABLE DirectKernels
#define TABLE_TYPES FASTCONV_FOR_EACH_SUM
#define TABLE_NAME direct_kernels
#include "../simd/end.inl"
