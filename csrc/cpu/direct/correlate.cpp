// Direct convolution, forward and backward_input (formula: direct.h). Layer: cpu/direct, driver.
#include "../../core/dtype.h"
#include "direct.h"

#include <algorithm>

#include "../common/finish.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "schedule.h"

namespace fastconv::cpu {
namespace {

// Loops, outermost first, and the data of each:
//   n, group, band, share of M   parallel; packs the band: half of L2, unless one row has more
//     panel                      taps * panel_width packed weights stream from L1 / L2
//       pixels                   one register tile: sums all taps, then is stored once

template <class T>
struct CorrelationSchedule {
  using Sum = SumOf<T>;
  const Correlation& s;
  const RowKernels<T>& k = row_kernels<T>(isa());
  const DirectKernels<Sum>& tiles = direct_kernels<Sum>(isa());
  int threads;
  Band band;
  int64_t bands;  // of an image, cut evenly
  bool by_channel;
  int64_t panel_width;   // channels of a panel of packed weights
  int64_t panels;        // panels of one group
  int64_t m_shares;      // jobs that share the panels of one band
  int64_t row_vectors;   // pixel form: vectors of one output row
  int64_t band_vectors;  // pixel form: vectors of a band, with room for one more tile

  CorrelationSchedule(const Correlation& correlation, int wanted_threads) : s(correlation) {
    const int64_t outputs = s.N * s.groups * s.M * s.h.outputs * s.w.outputs;
    threads = threads_for(outputs * max64(1, s.C * s.h.taps * s.w.taps), wanted_threads);
    band = Band{s.C, s.x, s.h, s.w, 1};
    band.rows = band_rows(band, BAND_BYTES / int64_t(sizeof(Sum)));
    // At least two bands per thread, if there are as many rows.
    const int64_t images = max64(1, s.N * s.groups);
    band.rows = min64(band.rows, max64(1, ceil_div(s.h.outputs * images, 2 * threads)));
    bands = even_cut(band.bands(), s.h.outputs, images, threads);
    band.rows = ceil_div(s.h.outputs, bands);
    by_channel = channel_lanes(s, tiles, k.lanes);
    panel_width =
        by_channel ? k.lanes * DirectKernels<Sum>::CHANNEL_VECTORS : tiles.pixel_tiles[0].channels;
    panels = ceil_div(s.M, panel_width);
    const int64_t jobs = images * bands;
    m_shares = jobs >= 2 * threads ? 1 : min64(panels, ceil_div(2 * threads, jobs));
    row_vectors = ceil_div(s.w.outputs, k.lanes);
    band_vectors = band.rows * row_vectors + DirectKernels<Sum>::MAX_VECTORS;
  }

  int64_t panel_channels(int64_t panel) const {
    return min64(panel_width, s.M - panel * panel_width);
  }

  // Pixel form: returns the smallest tile that holds the channels.
  int pixel_tile(int64_t channels) const {
    int i = tiles.pixel_tile_count - 1;
    while (tiles.pixel_tiles[i].channels < channels) --i;
    return i;
  }
  // Returns the channels per tap in the packed weights of a panel.
  int64_t packed_channels(int64_t channels) const {
    return by_channel ? round_up(channels, k.lanes)
                      : tiles.pixel_tiles[pixel_tile(channels)].channels;
  }
};

template <class T>
struct CorrelationArrays {
  using Sum = SumOf<T>;
  Sum* weight;        // [groups][panels][taps][packed channels]
  Sum* bias;          // [groups][panels][panel_width]
  int32_t* tap;       // [taps]
  int32_t* x_offset;  // [band_vectors], pixel form
  int64_t* y_offset;
  int32_t* lanes;
  Sum* scratch;  // [threads]: packed band, then one register tile
  int64_t scratch_count;
  int64_t bytes;

  CorrelationArrays(const CorrelationSchedule<T>& p, void* base) {
    Workspace workspace(base);
    weight = workspace.take<Sum>(p.s.groups * p.panels * p.band.taps() * p.panel_width);
    bias = workspace.take<Sum>(p.s.groups * p.panels * p.panel_width);
    tap = workspace.take<int32_t>(p.band.taps());
    x_offset = workspace.take<int32_t>(p.band_vectors);
    y_offset = workspace.take<int64_t>(p.band_vectors);
    lanes = workspace.take<int32_t>(p.band_vectors);
    scratch_count = round_up(tile_offset(p) + p.panel_width * tile_pixels(p), CACHE_LINE);
    scratch = workspace.take<Sum>(p.threads * scratch_count);
    bytes = workspace.bytes();
  }
  // Vector loads may run over the end of the band by one vector. It holds zeros, because left-overs
  // of earlier calls may be subnormal, and a subnormal operand takes hundreds of cycles.
  static int64_t tile_offset(const CorrelationSchedule<T>& p) {
    return round_up(p.band.count() + p.k.lanes, CACHE_LINE);
  }
  static int64_t tile_pixels(const CorrelationSchedule<T>& p) {
    return max64(DirectKernels<Sum>::MAX_VECTORS * p.k.lanes, DirectKernels<Sum>::CHANNEL_PIXELS);
  }
};

template <class T>
void pack_weights(const CorrelationSchedule<T>& p, const T* weight, const T* bias,
                  const CorrelationArrays<T>& b) {
  const Correlation& s = p.s;
  const int64_t taps = p.band.taps();
  // In the filters of a forward convolution the taps are contiguous, so packing is a transpose.
  const bool contiguous =
      s.weight.w == 1 && s.weight.h == s.w.taps && s.weight.c == s.h.taps * s.w.taps;
  parallel_jobs(
      s.groups * s.M * taps < 10'000 ? 1 : p.threads, s.groups * p.panels, [&](int64_t job, int) {
        const int64_t group = job / p.panels, panel = job % p.panels, m0 = panel * p.panel_width;
        const int64_t channels = p.panel_channels(panel), width = p.packed_channels(channels);
        SumOf<T>* to = b.weight + job * taps * p.panel_width;
        const T* from = weight + group * s.weight_group + m0 * s.weight.n;
        if (channels < width)
          for (int64_t i = 0; i < taps * width; ++i) to[i] = 0;
        if (contiguous) {
          p.k.transpose_in(channels, taps, from, s.weight.n, to, width);
        } else {
          for (int64_t c = 0; c < s.C; ++c)
            for (int64_t a = 0; a < s.h.taps; ++a)
              for (int64_t t = 0; t < s.w.taps; ++t, to += width)
                for (int64_t m = 0; m < channels; ++m)
                  to[m] = SumOf<T>(
                      from[m * s.weight.n + c * s.weight.c + a * s.weight.h + t * s.weight.w]);
        }
        for (int64_t m = 0; m < p.panel_width; ++m)
          b.bias[job * p.panel_width + m] =
              bias && m < channels ? SumOf<T>(bias[group * s.M + m0 + m]) : 0;
      });
}

// Fills the tables that say where each pixel vector of a band reads and writes. The entries after
// the last vector are read but never stored.
template <class T>
void fill_vector_tables(const CorrelationSchedule<T>& p, const CorrelationArrays<T>& b) {
  for (int64_t v = 0; v < p.band_vectors; ++v) {
    const int64_t row = min64(v / p.row_vectors, p.band.rows - 1);
    const int64_t column = v % p.row_vectors * p.k.lanes;
    b.x_offset[v] = static_cast<int32_t>(row * p.band.output_row() + column);
    b.y_offset[v] = row * p.s.y.h + column * p.s.y.w;
    b.lanes[v] = static_cast<int32_t>(min64(p.k.lanes, p.s.w.outputs - column));
  }
}

// Whether register tiles store to y itself. Else they store to scratch, and what they stored is moved.
template <class T>
bool stores_to_y(const CorrelationSchedule<T>& p) {
  return !IS_WIDENED<T> && (p.by_channel ? p.s.y.c : p.s.y.w) == 1;
}

// Writes `pixels` neighbouring pixels of a row from scratch to y, finished: elements m * from_m + q *
// from_pixel, of which one is 1.
template <class T>
void move_to_y(const CorrelationSchedule<T>& p, const Finishing<T>& finishing, int64_t pixels,
               int64_t channels, const SumOf<T>* from, int64_t from_pixel, int64_t from_m, T* y) {
  const Strides& to = p.s.y;
  if (to.w == 1 && from_pixel == 1)
    return finishing.copy_out(p.k, channels, pixels, from, from_m, y, to.c, 0);
  if (to.w == 1) return finishing.transpose_out(p.k, pixels, channels, from, from_pixel, y, to.c);
  if (to.c == 1 && from_m == 1)
    return finishing.copy_out(p.k, pixels, channels, from, from_pixel, y, to.w, 0);
  if (to.c == 1) return finishing.transpose_out(p.k, channels, pixels, from, from_m, y, to.w);
  for (int64_t m = 0; m < channels; ++m)
    for (int64_t q = 0; q < pixels; ++q) {
      T* at = y + m * to.c + q * to.w;
      *at = finishing.element(from[m * from_m + q * from_pixel], at);
    }
}

// Pixel form.
template <class T>
void run_pixels(const CorrelationSchedule<T>& p, const CorrelationArrays<T>& b,
                PixelTile<SumOf<T>> t, int64_t rows, SumOf<T>* scratch,
                const Finishing<T>& finishing, T* y) {
  using Sum = SumOf<T>;
  const auto& tile = p.tiles.pixel_tiles[p.pixel_tile(t.channels)];
  const int64_t lanes = p.k.lanes;
  const bool direct = stores_to_y(p);
  int64_t scratch_offset[DirectKernels<Sum>::MAX_VECTORS];
  int32_t all_lanes[DirectKernels<Sum>::MAX_VECTORS];
  for (int v = 0; v < DirectKernels<Sum>::MAX_VECTORS; ++v)
    scratch_offset[v] = v * lanes, all_lanes[v] = static_cast<int>(lanes);
  t.y = scratch;
  if constexpr (!IS_WIDENED<T>)
    if (direct) t.y = y;
  t.y_channel = direct ? p.s.y.c : tile.vectors * lanes;
  for (int64_t v = 0; v < rows * p.row_vectors; v += tile.vectors) {
    t.vectors = static_cast<int>(min64(tile.vectors, rows * p.row_vectors - v));
    t.x_offset = b.x_offset + v;
    t.y_offset = direct ? b.y_offset + v : scratch_offset;
    t.lanes = direct ? b.lanes + v : all_lanes;
    tile.run(t);
    for (int i = 0; i < t.vectors && !direct; ++i)
      move_to_y(p, finishing, b.lanes[v + i], t.channels, scratch + i * lanes, 1, t.y_channel,
                y + b.y_offset[v + i]);
  }
}

// Channel form, row by row. The columns of a row are divided evenly among tiles.
template <class T>
void run_channels(const CorrelationSchedule<T>& p, ChannelTile<SumOf<T>> t, int64_t rows,
                  SumOf<T>* scratch, const Finishing<T>& finishing, T* y) {
  const int64_t J = p.s.w.outputs, width = p.packed_channels(t.channels);
  const auto& tiles_of = p.tiles.channel_tiles[width / p.k.lanes - 1];
  const int64_t tiles = ceil_div(J, p.tiles.channel_pixels);
  const bool direct = stores_to_y(p);
  const SumOf<T>* x = t.x;
  t.y_pixel = direct ? p.s.y.w : width;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t j = tile * J / tiles, pixels = (tile + 1) * J / tiles - j;
      T* to = y + i * p.s.y.h + j * p.s.y.w;
      t.x = x + i * p.band.output_row() + j;
      t.y = scratch;
      if constexpr (!IS_WIDENED<T>)
        if (direct) t.y = to;
      tiles_of[pixels - 1](t);
      if (!direct) move_to_y(p, finishing, pixels, t.channels, scratch, width, 1, to);
    }
}

}  // namespace

bool direct_supports(const Correlation& s) { return band_is_short(Band{s.C, s.x, s.h, s.w, 1}); }

template <class T>
int64_t correlate_workspace_bytes(const Correlation& s, int threads) {
  if (s.M * s.h.outputs * s.w.outputs == 0) return 0;
  return CorrelationArrays<T>(CorrelationSchedule<T>(s, threads), nullptr).bytes;
}

template <class T>
void correlate(const Correlation& s, const T* x, const T* weight, const Epilogue<T>& epilogue, T* y,
               void* workspace, int threads) {
  if (s.M * s.h.outputs * s.w.outputs == 0) return;
  using Sum = SumOf<T>;
  const CorrelationSchedule<T> p(s, threads);
  const CorrelationArrays<T> b(p, workspace);
  const Finishing<T> finishing(epilogue, y);
  pack_weights(p, weight, epilogue.bias, b);
  fill_tap_offsets(p.band, b.tap);
  if (!p.by_channel) fill_vector_tables(p, b);

  const int64_t bands = p.bands, taps = p.band.taps();
  parallel_jobs(p.threads, s.N * s.groups * bands * p.m_shares, [&](int64_t job, int thread) {
    const int64_t share = job % p.m_shares, band = job / p.m_shares % bands;
    const int64_t group = job / p.m_shares / bands % s.groups;
    const int64_t n = job / p.m_shares / bands / s.groups;
    const int64_t i0 = band * s.h.outputs / bands, rows = (band + 1) * s.h.outputs / bands - i0;
    Sum* packed = b.scratch + thread * b.scratch_count;
    Sum* scratch = packed + CorrelationArrays<T>::tile_offset(p);
    if (taps > 0) pack_band(p.band, x + n * s.x.n + group * s.C * s.x.c, i0, rows, packed);
    std::fill(packed + p.band.count(), scratch, Sum(0));
    T* out = y + n * s.y.n + group * s.M * s.y.c + i0 * s.y.h;
    for (int64_t panel = share * p.panels / p.m_shares; panel < (share + 1) * p.panels / p.m_shares;
         ++panel) {
      const int64_t packed_panel = group * p.panels + panel;
      const Sum* w = b.weight + packed_panel * taps * p.panel_width;
      const Sum* panel_bias = b.bias + packed_panel * p.panel_width;
      const int channels = static_cast<int>(p.panel_channels(panel));
      T* panel_y = out + panel * p.panel_width * s.y.c;
      if (p.by_channel)
        run_channels(p, ChannelTile<Sum>{taps, b.tap, w, panel_bias, packed, nullptr, 0, channels},
                     rows, scratch, finishing, panel_y);
      else
        run_pixels(p, b,
                   PixelTile<Sum>{taps, b.tap, w, panel_bias, packed, nullptr, nullptr, nullptr,
                                  nullptr, 0, channels, 0},
                   rows, scratch, finishing, panel_y);
      if constexpr (!IS_WIDENED<T>)
        if (stores_to_y(p)) finishing.in_place(p.k, channels, rows, s.w.outputs, panel_y, s.y);
    }
  });
}

#define INSTANTIATE(T)                                                                           \
  template int64_t correlate_workspace_bytes<T>(const Correlation&, int);                        \
  template void correlate(const Correlation&, const T*, const T*, const Epilogue<T>&, T*, void*, \
                          int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
