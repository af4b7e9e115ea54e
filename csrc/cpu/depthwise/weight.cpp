// Depthwise convolution, backward_weight: for output channel oc = g * M + m of group g
//   grad_w[oc,kh,kw] = sum over n,oh,ow of grad_y[n,oc,oh,ow] * x[n,g,ih,iw]
//   grad_bias[oc] = sum over n,oh,ow of grad_y[n,oc,oh,ow]
// Layer: cpu/depthwise, driver.
#include "weight.h"

#include "../../core/dtype.h"
#include "../common/axis.h"
#include "../common/lanes.h"
#include "../common/parallel.h"
#include "../common/weight_bands.h"
#include "../common/workspace.h"
#include "correlate.h"
#include "plane_weight.h"
#include "table.h"

namespace fastconv::cpu {
namespace {

// Loops, outermost first, and the data of each:
//   share of the (n, band) pairs, share of the vectors of groups   parallel; each has its own sums
//     n, band       a few rows of x and of grad_y, in L2; packed if channels are not neighbours
//       vector      its columns of the band, in L1
//         taps      one register tile sums over the pixels of the band
// The sums of the shares are then added in a fixed order, so the bits do not depend on the threads.
constexpr int64_t AHEAD_BYTES = 256 * 1024;  // of one image

template <class T>
struct WeightSchedule {
  using Sum = SumOf<T>;  // of packed bands and sums
  const Conv2dShape& s;
  const Isa isa = isa_for_channels(s.groups, sizeof(Sum));
  const RowKernels<T>& k = row_kernels<T>(isa);
  const DepthwiseKernels<T>& kernels = depthwise_kernels<T>(isa);
  const DepthwiseKernels<Sum>& packed_kernels = depthwise_kernels<Sum>(isa);
  const GroupVectors vectors{s.groups, k.lanes};
  const PhasedAxis h = forward_axis(rows_axis(s));
  const int64_t M = s.group_OC(), taps = s.KH * s.KW;
  const int64_t OW = s.OW();
  const WeightBands bands{s, int64_t(sizeof(Sum)) * k.lanes};
  const bool in_place = s.x_channels_last && s.y_channels_last && M == 1 && s.groups >= k.lanes &&
                        kernels.any_row != nullptr;
  int threads;
  int64_t shares, splits;      // of the bands, of the vectors
  int64_t packed_x, packed_y;  // elements of a packed band

  WeightSchedule(const Conv2dShape& shape, int wanted_threads) : s(shape) {
    threads = threads_for(s.multiply_adds(), wanted_threads);
    const int64_t bytes = vectors.count() * vector_sums() * int64_t(sizeof(Sum));
    const int64_t wanted = in_place ? WEIGHT_JOBS : ceil_div(WEIGHT_JOBS, vectors.count());
    shares = shares_of(bands.count, wanted, bytes);
    splits = in_place ? min64(vectors.count(), ceil_div(WEIGHT_JOBS, shares)) : vectors.count();
    packed_x = in_place ? 0 : h.most_source_rows(bands.rows) * s.IW * k.lanes;
    packed_y = in_place ? 0 : bands.rows * OW * k.lanes;
  }
  // Elements of the sums of one vector of groups: [M][taps, then grad_bias][lanes]
  int64_t vector_sums() const { return M * filter_sums(); }
  int64_t filter_sums() const { return (taps + 1) * k.lanes; }
};

template <class T>
struct WeightArrays {
  using Sum = SumOf<T>;
  Sum* sums;    // [shares][vectors][M][taps + 1][lanes]
  Sum* packed;  // [threads]: band of x, band of grad_y
  int64_t bytes;

  WeightArrays(const WeightSchedule<T>& p, void* base) {
    Workspace workspace(base);
    sums = workspace.take<Sum>(p.shares * p.vectors.count() * p.vector_sums());
    packed = workspace.take<Sum>(p.threads * (p.packed_x + p.packed_y));
    bytes = workspace.bytes();
  }
};

// Adds the sums of one band and vector, tile of taps by tile of taps, to [taps + 1][lanes].
template <class T, class E>
void sum_band(const WeightSchedule<T>& p, const DepthwiseKernels<E>& kernels, DepthwiseSums<E> t,
              SumOf<T>* sums, bool with_bias) {
  using Kernels = DepthwiseKernels<E>;
  const Conv2dShape& s = p.s;
  const bool special = s.dilation_w == 1 && s.stride_w <= Kernels::MOST_STRIDE;
  const int64_t lanes = p.k.lanes, first_row = t.first_row, first_column = t.columns.first;
  t.sums_row = s.KW * lanes;
  t.bias_sum = with_bias ? sums + p.taps * lanes : nullptr;
  for (int64_t b = 0; b < s.KW; b += t.columns.taps) {
    int64_t width = min64(s.KW - b, Kernels::MOST_TAPS);
    while (kernels.tap_rows[width - 1] == 0) --width;
    const int64_t most = special ? kernels.tap_rows[width - 1] : 1;
    for (int64_t a = 0, rows; a < s.KH; a += rows) {
      rows = s.KH - a >= most ? most : 1;
      t.columns.taps = width;
      t.columns.first = first_column + b * s.dilation_w;
      t.first_row = first_row + a * s.dilation_h;
      t.sums = sums + (a * s.KW + b) * lanes;
      if (!special) {
        kernels.any_sums[width - 1](t);
      } else {
        const auto& tile = kernels.sums[s.stride_w - 1][width - 1];
        (rows == most ? tile.most : tile.one)(t);
      }
      t.bias_sum = nullptr;
      t.x_ahead = t.y_ahead = 0;
    }
  }
}

// job = (share, split)
template <class T>
void sum_share(const WeightSchedule<T>& p, const WeightArrays<T>& b,
               const BackwardWeightBuffers<T>& io, int64_t job, int thread) {
  const Conv2dShape& s = p.s;
  const int64_t share = job / p.splits, split = job % p.splits, count = p.vectors.count();
  const int64_t v_begin = split * count / p.splits, v_end = (split + 1) * count / p.splits;
  const int64_t lanes = p.k.lanes;
  const Strides xs = s.x_strides(), ys = s.y_strides();
  SumOf<T>* sums = b.sums + share * count * p.vector_sums();
  std::fill(sums + v_begin * p.vector_sums(), sums + v_end * p.vector_sums(), SumOf<T>(0));
  SumOf<T>* packed_x = b.packed + thread * (p.packed_x + p.packed_y);
  SumOf<T>* packed_y = packed_x + p.packed_x;
  if (p.vectors.used() < lanes) std::fill(packed_x, packed_y + p.packed_y, SumOf<T>(0));

  const int64_t all = p.bands.count;
  for (int64_t i = share * all / p.shares; i < (share + 1) * all / p.shares; ++i) {
    const WeightBand band = p.bands[i];
    const T *x = io.x + band.n * xs.n, *grad_y = io.grad_y + band.n * ys.n;
    const auto set_band = [&](auto& t, int64_t x_column, int64_t y_column) {
      t.columns = {p.OW, s.IW, s.stride_w, -s.pad_left, 0, s.dilation_w};
      t.rows = band.rows();
      t.source_rows = band.source_rows();
      t.first_row = band.top - band.source.first;
      t.row_stride = s.stride_h;
      t.row_step = s.dilation_h;
      t.x_row = s.IW * x_column;
      t.x_column = x_column;
      t.y_row = p.OW * y_column;
      t.y_column = y_column;
    };
    for (int64_t v = v_begin; v < v_end; ++v) {
      const int64_t g = p.vectors.first(v), used = p.vectors.used();
      SumOf<T>* vector_sums = sums + v * p.vector_sums();
      if (p.in_place) {
        DepthwiseSums<T> t{};
        set_band(t, xs.w, ys.w);
        t.x = x + band.source.first * xs.h + g;
        t.grad_y = grad_y + band.begin * ys.h + g;
        const bool new_line = v == v_begin || g % (CACHE_LINE / int64_t(sizeof(T))) == 0;
        if (new_line && xs.n * int64_t(sizeof(T)) >= AHEAD_BYTES) {
          t.x_ahead = t.rows * s.stride_h * xs.h;
          t.y_ahead = t.rows * ys.h;
        }
        sum_band(p, p.kernels, t, vector_sums, io.grad_bias != nullptr);
        continue;
      }
      DepthwiseSums<SumOf<T>> t{};
      set_band(t, lanes, lanes);
      pack_lanes(p.k, x, xs, {g, 1, used}, band.source.first, t.source_rows, s.IW, packed_x, lanes);
      t.x = packed_x;
      t.grad_y = packed_y;
      for (int64_t m = 0; m < p.M; ++m) {
        pack_lanes(p.k, grad_y, ys, {g * p.M + m, p.M, used}, band.begin, t.rows, p.OW, packed_y,
                   lanes);
        sum_band(p, p.packed_kernels, t, vector_sums + m * p.filter_sums(),
                 io.grad_bias != nullptr);
      }
    }
  }
}

// Adds the sums of one vector of groups in the order of the shares, and writes the result.
template <class T>
void finish_vector(const WeightSchedule<T>& p, const WeightArrays<T>& b,
                   const BackwardWeightBuffers<T>& io, int64_t v) {
  SumOf<T>* sums = b.sums + v * p.vector_sums();
  for (int64_t share = 1; share < p.shares; ++share)
    p.k.add(p.vector_sums(), sums + share * p.vectors.count() * p.vector_sums(), sums);
  const int64_t g = p.vectors.first(v), used = p.vectors.used();
  for (int64_t m = 0; m < p.M; ++m, sums += p.filter_sums()) {
    // [taps][lanes] -> the taps of each filter; a filter has one input channel in either layout.
    p.k.transpose_out(p.taps, used, sums, p.k.lanes, io.grad_w + (g * p.M + m) * p.taps,
                      p.M * p.taps);
    if (io.grad_bias)
      for (int64_t lane = 0; lane < used; ++lane)
        io.grad_bias[(g + lane) * p.M + m] = sums[p.taps * p.k.lanes + lane];
  }
}

}  // namespace

template <class T>
int64_t depthwise_weight_bytes(const Conv2dShape& s, int threads) {
  const PlaneWeightSchedule<T> planes(s, threads);
  if (planes.runs) return PlaneWeightArrays<T>(planes, nullptr).bytes;
  return WeightArrays<T>(WeightSchedule<T>(s, threads), nullptr).bytes;
}

template <class T>
void depthwise_weight(const Conv2dShape& s, const BackwardWeightBuffers<T>& io, void* workspace,
                      int threads) {
  const PlaneWeightSchedule<T> planes(s, threads);
  if (planes.runs) return run_plane_weight(planes, io, workspace);
  const WeightSchedule<T> p(s, threads);
  const WeightArrays<T> b(p, workspace);
  parallel_jobs(p.threads, p.shares * p.splits,
                [&](int64_t job, int thread) { sum_share(p, b, io, job, thread); });
  // Vectors overlap, and then write the same values, so one thread finishes them.
  for (int64_t v = 0; v < p.vectors.count(); ++v) finish_vector(p, b, io, v);
}

template <class T>
bool depthwise_weight_runs_in_planes(const Conv2dShape& s) {
  return PlaneWeightSchedule<T>(s, 1).runs;
}

#define INSTANTIATE(T)                                                  \
  template int64_t depthwise_weight_bytes<T>(const Conv2dShape&, int);  \
  template bool depthwise_weight_runs_in_planes<T>(const Conv2dShape&); \
  template void depthwise_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, void*, int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
