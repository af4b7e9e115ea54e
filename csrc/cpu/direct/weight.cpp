// Direct convolution, backward_weight (formula: ../../core/conv2d.h). Layer: cpu/direct, driver.
#include <algorithm>

#include "../../core/dtype.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "direct.h"
#include "schedule.h"
#include "weight_pixels.h"

namespace fastconv::cpu {
namespace {

// Loops, outermost first, and the data of each:
//   group, panel, share of the images   parallel; each owns a partial sum [taps + 1][panel]
//     n, band                             packs C channels of x, and grad_y as [pixels][panel]:
//                                         at most WEIGHT_BAND_BYTES, unless one row has more
//       taps                              a register tile sums over all pixels of the band
// The partial sums are then added in a fixed order, so the bits do not depend on the thread count.
// grad_bias is one more tap, which reads ones.

template <class T>
struct DirectWeightSchedule {
  using Sum = SumOf<T>;
  const Conv2dShape& s;
  const Isa isa;
  const RowKernels<T>& k;
  const DirectKernels<Sum>& tiles_of;
  int threads;
  Band band;
  int64_t panel_width, panels;  // output channels of a panel, panels of a group
  int64_t taps;                 // without the tap of grad_bias
  int64_t units, shares;        // (n, band) pairs; the shares that split them

  DirectWeightSchedule(const Conv2dShape& shape, int wanted_threads)
      : s(shape),
        isa(isa_for_channels(shape.group_OC(), sizeof(Sum))),
        k(row_kernels<T>(isa)),
        tiles_of(direct_kernels<Sum>(isa)) {
    threads = threads_for(s.multiply_adds(), wanted_threads);
    band = weight_band(s, sizeof(Sum));
    panel_width =
        min64(DirectKernels<Sum>::WEIGHT_VECTORS * k.lanes, round_up(s.group_OC(), k.lanes));
    panels = ceil_div(s.group_OC(), panel_width);
    taps = band.taps();
    units = s.N * band.bands();
    const int64_t bytes = partial_count() * all_panels() * int64_t(sizeof(Sum));
    shares = shares_of(units, ceil_div(WEIGHT_JOBS, all_panels()), bytes);
  }
  int64_t all_panels() const { return s.groups * panels; }
  int64_t partial_count() const { return (taps + 1) * panel_width; }
  int64_t panel_channels(int64_t panel) const {
    return min64(panel_width, s.group_OC() - panel * panel_width);
  }
};

template <class T>
struct DirectWeightArrays {
  using Sum = SumOf<T>;
  Sum* partial;  // [shares][groups][panels][taps + 1][panel's width]
  int32_t* tap;  // [taps + 1]
  Sum* scratch;  // [threads]: packed band of x, a plane of ones, packed grad_y
  int64_t scratch_count, ones_offset, grad_y_offset;
  int64_t bytes;

  DirectWeightArrays(const DirectWeightSchedule<T>& p, void* base) {
    Workspace workspace(base);
    partial = workspace.take<Sum>(p.shares * p.all_panels() * p.partial_count());
    tap = workspace.take<int32_t>(p.taps + 1);
    ones_offset = p.band.count();
    grad_y_offset = round_up(ones_offset + p.band.plane(), CACHE_LINE);
    scratch_count = round_up(grad_y_offset + p.band.rows * p.s.OW() * p.panel_width, CACHE_LINE);
    scratch = workspace.take<Sum>(p.threads * scratch_count);
    bytes = workspace.bytes();
  }
};

// Packs `rows` output rows of grad_y as [pixels][width]. Lanes after the last channel are zero.
template <class T>
void pack_grad_y(const DirectWeightSchedule<T>& p, const T* grad_y, int64_t channels, int64_t width,
                 int64_t rows, SumOf<T>* packed) {
  const Strides y = p.s.y_strides();
  const int64_t pixels = rows * p.s.OW();  // contiguous in either layout
  if (channels < width)
    for (int64_t i = 0; i < pixels; ++i)
      for (int64_t m = channels; m < width; ++m) packed[i * width + m] = 0;
  if (y.w == 1)
    p.k.transpose_in(channels, pixels, grad_y, y.c, packed, width);
  else
    p.k.copy_in(pixels, channels, grad_y, y.w, packed, width, 0);
}

// Sums the products of one share into its partial sum.
template <class T>
void sum_share(const DirectWeightSchedule<T>& p, const DirectWeightArrays<T>& b,
               const BackwardWeightBuffers<T>& io, int64_t job, int thread) {
  const Conv2dShape& s = p.s;
  const int64_t share = job / p.all_panels(), group = job / p.panels % s.groups,
                panel = job % p.panels;
  const int64_t channels = p.panel_channels(panel), width = round_up(channels, p.k.lanes);
  const int vectors = static_cast<int>(width / p.k.lanes);
  const int64_t taps = p.taps + (io.grad_bias ? 1 : 0);
  const int64_t tap_tiles = ceil_div(taps, p.tiles_of.weight_taps[vectors - 1]);
  SumOf<T>* partial = b.partial + job * p.partial_count();
  SumOf<T>* x = b.scratch + thread * b.scratch_count;
  SumOf<T>* grad_y = x + b.grad_y_offset;
  std::fill(partial, partial + p.partial_count(), SumOf<T>(0));
  if (io.grad_bias) std::fill(x + b.ones_offset, x + b.ones_offset + p.band.plane(), SumOf<T>(1));

  for (int64_t unit = share * p.units / p.shares; unit < (share + 1) * p.units / p.shares; ++unit) {
    const int64_t n = unit / p.band.bands(), i0 = unit % p.band.bands() * p.band.rows;
    const int64_t rows = min64(p.band.rows, s.OH() - i0);
    const Strides xs = s.x_strides(), ys = s.y_strides();
    pack_band(p.band, io.x + n * xs.n + group * s.group_IC() * xs.c, i0, rows, x);
    const int64_t oc = group * s.group_OC() + panel * p.panel_width;
    pack_grad_y(p, io.grad_y + n * ys.n + oc * ys.c + i0 * ys.h, channels, width, rows, grad_y);
    for (int64_t t = 0; t < tap_tiles; ++t) {
      const int64_t t0 = t * taps / tap_tiles, count = (t + 1) * taps / tap_tiles - t0;
      p.tiles_of.weight_tiles[vectors - 1][count - 1](WeightTile<SumOf<T>>{
          b.tap + t0, grad_y, x, partial + t0 * width, rows, s.OW(), p.band.output_row()});
    }
  }
}

// Adds the partial sums of one panel in the order of their shares, and writes the result.
template <class T>
void finish_panel(const DirectWeightSchedule<T>& p, const DirectWeightArrays<T>& b,
                  const BackwardWeightBuffers<T>& io, int64_t job) {
  const Conv2dShape& s = p.s;
  const int64_t group = job / p.panels, panel = job % p.panels;
  const int64_t channels = p.panel_channels(panel), width = round_up(channels, p.k.lanes);
  const int64_t oc = group * s.group_OC() + panel * p.panel_width;
  SumOf<T>* sum = b.partial + job * p.partial_count();
  for (int64_t share = 1; share < p.shares; ++share)
    p.k.add((p.taps + 1) * width, sum + share * p.all_panels() * p.partial_count(), sum);
  if (io.grad_bias)
    for (int64_t m = 0; m < channels; ++m) io.grad_bias[oc + m] = T(sum[p.taps * width + m]);
  const Strides w = s.w_strides();
  if (w.w == 1) {
    p.k.transpose_out(p.taps, channels, sum, width, io.grad_w + oc * w.n, w.n);
    return;
  }
  for (int64_t c = 0; c < s.group_IC(); ++c)
    for (int64_t kh = 0; kh < s.KH; ++kh)
      for (int64_t kw = 0; kw < s.KW; ++kw, sum += width)
        for (int64_t m = 0; m < channels; ++m)
          io.grad_w[(oc + m) * w.n + c * w.c + kh * w.h + kw * w.w] = T(sum[m]);
}

}  // namespace

bool direct_weight_supports(const Conv2dShape& s) {
  return band_is_short(weight_row(s)) && s.OH() > 0 && s.OW() > 0 && s.OC > 0;
}

template <class T>
int64_t direct_weight_workspace_bytes(const Conv2dShape& s, int threads) {
  if (PixelWeightSchedule<T>::runs(s))
    return PixelWeightArrays<T>(PixelWeightSchedule<T>(s, threads), nullptr).bytes;
  return DirectWeightArrays<T>(DirectWeightSchedule<T>(s, threads), nullptr).bytes;
}

template <class T>
void direct_weight(const Conv2dShape& s, const BackwardWeightBuffers<T>& io, void* workspace,
                   int threads) {
  if (PixelWeightSchedule<T>::runs(s))
    return run_pixel_weight(PixelWeightSchedule<T>(s, threads), io, workspace);
  const DirectWeightSchedule<T> p(s, threads);
  const DirectWeightArrays<T> b(p, workspace);
  fill_tap_offsets(p.band, b.tap);
  b.tap[p.taps] = static_cast<int32_t>(b.ones_offset);
  parallel_jobs(p.threads, p.shares * p.all_panels(),
                [&](int64_t job, int thread) { sum_share(p, b, io, job, thread); });
  parallel_jobs(p.shares == 1 ? 1 : p.threads, p.all_panels(),
                [&](int64_t job, int) { finish_panel(p, b, io, job); });
}

#define INSTANTIATE(T)                                                        \
  template int64_t direct_weight_workspace_bytes<T>(const Conv2dShape&, int); \
  template void direct_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, void*, int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
