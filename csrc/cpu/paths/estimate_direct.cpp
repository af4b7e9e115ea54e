// How long direct convolution takes: counts of what csrc/cpu/direct/correlate.cpp and weight.cpp do.
// Layer: cpu/paths.
#include "../direct/schedule.h"
#include "../gemm/product.h"
#include "estimates.h"

namespace fastconv::cpu {
namespace {

using namespace direct_work;
using Times = double[KINDS];

template <class T>
struct DirectCounts {
  using Sum = typename Element<T>::Sum;
  const Machine m = Machine::of<T>();
  const DirectKernels<Sum>& k = direct_kernels<Sum>(isa());

  // Slots of one term of a register tile: its multiply-adds, or its loads if there are more loads.
  double slots(double broadcasts, int64_t vectors) const {
    constexpr double BROADCAST = 0.75;  // of the time of a multiply-add
    const double sums = broadcasts * vectors, loads = BROADCAST * broadcasts + vectors;
    const double most = sums > loads ? sums : loads;
    return most > m.least ? most : m.least;
  }

  // Packing of all bands of `rows` output rows.
  void bands(const Band& band, double images, Times& t) const {
    const int64_t all = band.bands(), last = band.h.outputs - (all - 1) * band.rows;
    const double source_rows =
        images * ((all - 1.0) * band.source_rows(band.rows) + band.source_rows(last));
    const double pixels = band.C * source_rows * band.row_pitch();
    t[BAND_ROW] += band.C * source_rows * band.phases();
    if (band.x.w != 1) {
      const double lines = band.C * m.bytes / 64.0;
      t[BAND_LINE] += (lines > 1 ? lines : 1) * source_rows * band.row_pitch();
    } else {
      t[band.w.stride == 1 ? BAND_COPIED : BAND_STRIDED] += pixels;
    }
  }

  void correlation(const Correlation& s, double weight, Times& t) const {
    const int64_t I = s.h.outputs, J = s.w.outputs, terms = s.C * s.h.taps * s.w.taps;
    if (I * J * s.M == 0) return;
    const double images = weight * s.N * s.groups;
    Band band{s.C, s.x, s.h, s.w, 1};
    band.rows =
        min64(band_rows(band, BAND_BYTES / m.bytes), max64(1, ceil_div(I * s.N * s.groups, 2)));
    t[JOB] += images * band.bands();
    // The outputs of a phase touch every line of its rows.
    const double outputs = images * I * J * s.M;
    const bool apart = s.y.w > 1 && s.y.c > 1;
    if (apart && s.N * s.y.n * m.bytes > L2_BYTES) t[FAR_OUT] += outputs;
    if (terms == 0) {
      t[EMPTY] += outputs;
      return;
    }
    bands(band, images, t);
    const bool flat =
        s.weight.w == 1 && s.weight.h == s.w.taps && s.weight.c == s.h.taps * s.w.taps;
    const double weights = double(s.groups) * s.M * terms;
    t[flat ? PACKED : GATHERED] += weight * weights;
    t[FAR_LINE] += weight * far_lines(weight_bytes(s, m.bytes));
    t[READ_AGAIN] += weight * far_lines(weights * m.bytes, double(s.N) * band.bands());
    const bool by_channel = channel_lanes(s, k, m.lanes);
    if (by_channel)
      channel_tiles(s, images * I, terms, t);
    else
      pixel_tiles(s, band, images, terms, t);
    const bool in_place = !IS_WIDENED<T> && (by_channel ? s.y.c : s.y.w) == 1;
    if (!in_place) t[s.y.c == 1 ? TURNED_LAST : TURNED] += outputs;
  }
  void channel_tiles(const Correlation& s, double rows, int64_t terms, Times& t) const {
    const int64_t J = s.w.outputs, tiles = ceil_div(J, k.channel_pixels);
    const int64_t vectors = ceil_div(s.M, m.lanes);
    const double pixels = double(J) / tiles;
    t[SLOT] +=
        rows * terms * tiles * (vectors / 2 * slots(pixels, 2) + vectors % 2 * slots(pixels, 1));
    t[TILE] += rows * tiles * ceil_div(vectors, 2);
  }
  void pixel_tiles(const Correlation& s, const Band& band, double images, int64_t terms,
                   Times& t) const {
    const int64_t of_row = ceil_div(s.w.outputs, m.lanes), all = band.bands();
    const int64_t last = s.h.outputs - (all - 1) * band.rows, most = k.pixel_tiles[0].channels;
    const auto run = [&](int64_t channels, int64_t times) {
      int i = k.pixel_tile_count - 1;
      while (k.pixel_tiles[i].channels < channels) --i;
      const int64_t vectors = k.pixel_tiles[i].vectors;
      const double tiles =
          images * times *
          ((all - 1) * ceil_div(band.rows * of_row, vectors) + ceil_div(last * of_row, vectors));
      t[SLOT] += tiles * terms * slots(k.pixel_tiles[i].channels, vectors);
      t[TILE] += tiles;
    };
    if (s.M / most > 0) run(most, s.M / most);
    if (s.M % most > 0) run(s.M % most, 1);
  }

  // Lanes = pixels of a row (../direct/weight_pixels.h).
  void weight_pixels(const Conv2dShape& s, Times& t) const {
    const int64_t OC = s.group_OC(), taps = s.terms() + 1,
                  most = DirectKernels<Sum>::WEIGHT_CHANNELS;
    const Band band = weight_band(s, m.bytes);
    const int64_t panels = ceil_div(OC, most), units = s.N * band.bands();
    const double vectors = double(s.groups) * s.N * s.OH() * ceil_div(s.OW(), m.lanes);
    bands(band, double(s.groups) * s.N, t);
    for (int64_t i = 0; i < panels; ++i) {
      const int64_t channels = (i + 1) * OC / panels - i * OC / panels;
      const int64_t tiles = ceil_div(taps, k.weight_pixel_taps[channels - 1]);
      const double sums = double(channels) * taps / tiles, loads = channels + double(taps) / tiles;
      const double slots = sums > loads ? sums : loads;
      t[SLOT] += vectors * tiles * (slots > m.least ? slots : m.least);
      t[TILE] += double(s.groups) * units * tiles;
    }
    t[JOB] += double(s.groups) * units;
    t[SUM] += double(s.groups) * clamp64(ceil_div(WEIGHT_JOBS, s.groups), 1, units) * OC * taps;
    if (s.y_channels_last) t[GRAD_TURNED] += double(s.y_count());
    t[GATHERED] += double(s.w_count());
  }

  void backward_weight(const Conv2dShape& s, Times& t) const {
    if (weight_pixel_lanes(s, m.lanes)) return weight_pixels(s, t);
    const int64_t I = s.OH(), J = s.OW(), taps = s.terms() + 1;
    const Band band = weight_band(s, m.bytes);
    const int64_t vectors = ceil_div(s.group_OC(), m.lanes);
    const int64_t most = DirectKernels<Sum>::WEIGHT_VECTORS, m_tiles = ceil_div(vectors, most);
    const double G = double(s.groups), pixels = G * s.N * I * J;
    const int64_t units = s.N * band.bands();
    bands(band, G * s.N * m_tiles, t);
    double tap_tiles = 0;
    for (int64_t left = vectors; left > 0; left -= most) {
      const int64_t width = min64(left, most), tiles = ceil_div(taps, k.weight_taps[width - 1]);
      t[SLOT] += pixels * tiles * slots(double(taps) / tiles, width);
      tap_tiles += tiles;
    }
    t[JOB] += G * m_tiles * units;
    t[TILE] += G * units * tap_tiles;
    t[PARTIAL] += G * units * taps * vectors;
    const int64_t shares = clamp64(ceil_div(WEIGHT_JOBS, s.groups * m_tiles), 1, units);
    t[SUM] += G * shares * taps * vectors;
    if (s.y_channels_last)
      t[GRAD_ROW] += pixels * m_tiles;
    else
      t[GRAD_TURNED] += pixels * s.group_OC();
    t[s.w_channels_last ? GATHERED : PACKED] += double(s.w_count());
    t[FAR_LINE] += far_lines(double(s.w_count()) * m.bytes, 1.0 + shares);  // grad_w, shares
  }
};

}  // namespace

template <class T, Direction DIRECTION>
Estimate estimate_direct(const Conv2dShape& s) {
  const DirectCounts<T> counts;
  Times t = {};
  if (DIRECTION == Direction::forward) counts.correlation(forward_correlation(s), 1, t);
  if (DIRECTION == Direction::backward_weight) counts.backward_weight(s, t);
  if (DIRECTION == Direction::backward_input)
    for_some_phases(s, [&](int64_t r_h, int64_t r_w, double weight) {
      counts.correlation(phase_correlation(s, s.w_strides(), r_h, r_w).correlation, weight, t);
    });
  return estimate_of(DIRECT_COSTS, t);
}

#define INSTANTIATE(T)                                                                 \
  template Estimate estimate_direct<T, Direction::forward>(const Conv2dShape&);        \
  template Estimate estimate_direct<T, Direction::backward_input>(const Conv2dShape&); \
  template Estimate estimate_direct<T, Direction::backward_weight>(const Conv2dShape&);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
