// Grouped convolution, backward_weight: for output channel oc of group g
//   grad_w[oc,c,kh,kw] = sum over n,oh,ow of grad_y[n,oc,oh,ow] * x[n,g * group_IC + c,ih,iw]
//   grad_bias[oc] = sum over n,oh,ow of grad_y[n,oc,oh,ow]
// Layer: cpu/grouped, driver.
#include "weight.h"

#include <algorithm>

#include "../../core/dtype.h"
#include "../common/axis.h"
#include "../common/parallel.h"
#include "../common/phased_axis.h"
#include "../common/weight_bands.h"
#include "../common/workspace.h"
#include "groups.h"

namespace fastconv::cpu {
namespace {

// Loops, outermost first, and the data of each:
//   share of the (n, band) pairs, share of the units of channels   parallel; each has its own sums
//     n, band             a few rows of x and of grad_y; packed if channels are not neighbours
//       unit              its columns of x, in L1
//         vector          its columns of grad_y, in L1
//           row of taps, some taps, some input channels    one register tile sums over the band
// The sums of the shares are then added in a fixed order, so the bits do not depend on the threads.
template <class T>
struct WeightSchedule {
  const Conv2dShape& s;
  const GroupChannels<T> g{s.groups, s.group_IC(), s.group_OC()};
  const int64_t lanes = g.lanes, taps = s.KH * s.KW, terms = s.terms();
  const int64_t OW = s.OW();
  const WeightBands bands{s, int64_t(sizeof(T)) * lanes};
  const bool in_place = s.x_channels_last && s.y_channels_last && g.in_place();
  int threads;
  int64_t shares, splits;      // of the bands, of the units
  int64_t packed_x, packed_y;  // elements of a packed band

  WeightSchedule(const Conv2dShape& shape, int wanted_threads) : s(shape) {
    threads = threads_for(s.multiply_adds(), wanted_threads);
    const int64_t bytes = g.vectors() * vector_sums() * int64_t(sizeof(T));
    shares = shares_of(bands.count, WEIGHT_JOBS, bytes);
    splits = min64(g.units(), max64(in_place ? 1 : 4, ceil_div(WEIGHT_JOBS, shares)));
    const PhasedAxis h = forward_axis(rows_axis(s));
    packed_x = in_place ? 0 : h.most_source_rows(bands.rows) * s.IW * g.input_width();
    packed_y = in_place ? 0 : bands.rows * OW * lanes;
  }
  // Elements of the sums of one vector: [group_IC][taps][lanes], then grad_bias
  int64_t vector_sums() const { return (terms + 1) * lanes; }
};

template <class T>
struct WeightArrays {
  T* sums;    // [shares][vectors][terms + 1][lanes]
  T* packed;  // [threads]: band of x, band of grad_y
  int64_t bytes;

  WeightArrays(const WeightSchedule<T>& p, void* base) {
    Workspace workspace(base);
    sums = workspace.take<T>(p.shares * p.g.vectors() * p.vector_sums());
    packed = workspace.take<T>(p.threads * (p.packed_x + p.packed_y));
    bytes = workspace.bytes();
  }
};

// The leaf kernel for `taps` neighbouring taps, and how many inputs it sums: at most `left`.
template <class T>
typename GroupedKernels<T>::Sums sums_kernel(const WeightSchedule<T>& p, int64_t taps, int64_t left,
                                             int64_t* inputs) {
  using Kernels = GroupedKernels<T>;
  const auto& k = p.g.kernels();
  *inputs = k.inputs <= left ? k.inputs : 1;
  if (k.inputs > left) return k.sums_of_one[taps - 1];
  const bool special = p.s.dilation_w == 1 && p.s.stride_w <= Kernels::MOST_STRIDE;
  return special ? k.sums[p.s.stride_w - 1][taps - 1] : k.any_sums[taps - 1];
}

// Adds the sums of one band and vector to [group_IC][taps][lanes] and to grad_bias behind them.
template <class T>
void sum_band(const WeightSchedule<T>& p, GroupedSums<T> t, T* sums, bool with_bias) {
  const Conv2dShape& s = p.s;
  const int64_t first_row = t.first_row, first_column = t.columns.first;
  const T* x = t.x;
  t.sums_input = p.taps * p.lanes;
  t.bias_sum = with_bias ? sums + p.terms * p.lanes : nullptr;
  for (int64_t a = 0; a < s.KH; ++a)
    for (int64_t b = 0; b < s.KW; b += t.columns.taps) {
      t.columns.taps = min64(s.KW - b, GroupedKernels<T>::MOST_TAPS);
      t.columns.first = first_column + b * s.dilation_w;
      t.first_row = first_row + a * s.dilation_h;
      for (int64_t c = 0, inputs; c < s.group_IC(); c += inputs) {
        const auto kernel = sums_kernel(p, t.columns.taps, s.group_IC() - c, &inputs);
        t.x = x + c;
        t.sums = sums + ((c * s.KH + a) * s.KW + b) * p.lanes;
        kernel(t);
        t.bias_sum = nullptr;
      }
    }
}

// job = (share, split)
template <class T>
void sum_share(const WeightSchedule<T>& p, const WeightArrays<T>& b,
               const BackwardWeightBuffers<T>& io, int64_t job, int thread) {
  const Conv2dShape& s = p.s;
  const int64_t share = job / p.splits, split = job % p.splits, units = p.g.units();
  const int64_t u_begin = split * units / p.splits, u_end = (split + 1) * units / p.splits;
  const int64_t lanes = p.lanes, per_unit = p.g.unit_vectors(), width = p.g.input_width();
  const Strides xs = s.x_strides(), ys = s.y_strides();
  T* sums = b.sums + share * p.g.vectors() * p.vector_sums();
  std::fill(sums + u_begin * per_unit * p.vector_sums(), sums + u_end * per_unit * p.vector_sums(),
            T(0));
  T* packed_x = b.packed + thread * (p.packed_x + p.packed_y);
  T* packed_y = packed_x + p.packed_x;
  if (p.g.used() < lanes) std::fill(packed_x, packed_y + p.packed_y, T(0));

  const int64_t all = p.bands.count;
  for (int64_t i = share * all / p.shares; i < (share + 1) * all / p.shares; ++i) {
    const WeightBand band = p.bands[i];
    const T *x = io.x + band.n * xs.n, *grad_y = io.grad_y + band.n * ys.n;
    GroupedSums<T> t{};
    t.columns = columns_axis(s);
    t.rows = band.rows();
    t.source_rows = band.source_rows();
    t.first_row = band.top - band.source.first;
    t.row_stride = s.stride_h;
    t.x_row = p.in_place ? xs.h : s.IW * width;
    t.x_column = p.in_place ? xs.w : width;
    t.y_row = p.in_place ? ys.h : p.OW * lanes;
    t.y_column = p.in_place ? ys.w : lanes;
    for (int64_t unit = u_begin; unit < u_end; ++unit) {
      const LaneChannels inputs = p.g.inputs_of(unit);
      t.x = p.in_place ? x + band.source.first * xs.h + inputs.first : packed_x;
      if (!p.in_place)
        pack_lanes(p.g.k, x, xs, inputs, band.source.first, t.source_rows, s.IW, packed_x, width);
      for (int64_t v = unit * per_unit; v < (unit + 1) * per_unit; ++v) {
        const int64_t oc = p.g.first(v);
        t.grad_y = p.in_place ? grad_y + band.begin * ys.h + oc : packed_y;
        if (!p.in_place)
          pack_lanes(p.g.k, grad_y, ys, {oc, 1, p.g.used()}, band.begin, t.rows, p.OW, packed_y,
                     lanes);
        sum_band(p, t, sums + v * p.vector_sums(), io.grad_bias != nullptr);
      }
    }
  }
}

// Adds the sums of one vector in the order of the shares, and writes the result.
template <class T>
void finish_vector(const WeightSchedule<T>& p, const WeightArrays<T>& b,
                   const BackwardWeightBuffers<T>& io, int64_t v) {
  const Conv2dShape& s = p.s;
  T* sums = b.sums + v * p.vector_sums();
  for (int64_t share = 1; share < p.shares; ++share)
    p.g.k.add(p.vector_sums(), sums + share * p.g.vectors() * p.vector_sums(), sums);
  const int64_t shared = p.g.shared(v), oc = p.g.first(v) + shared, used = p.g.used() - shared;
  sums += shared;
  if (io.grad_bias)
    std::copy(sums + p.terms * p.lanes, sums + p.terms * p.lanes + used, io.grad_bias + oc);
  const Strides w = s.w_strides();
  if (w.w == 1)
    return p.g.k.transpose(p.terms, used, sums, p.lanes, io.grad_w + oc * p.terms, p.terms);
  for (int64_t c = 0; c < s.group_IC(); ++c)
    for (int64_t kh = 0; kh < s.KH; ++kh)
      for (int64_t kw = 0; kw < s.KW; ++kw, sums += p.lanes)
        for (int64_t lane = 0; lane < used; ++lane)
          io.grad_w[(oc + lane) * w.n + c * w.c + kh * w.h + kw * w.w] = sums[lane];
}

}  // namespace

template <class T>
int64_t grouped_weight_bytes(const Conv2dShape& s, int threads) {
  return WeightArrays<T>(WeightSchedule<T>(s, threads), nullptr).bytes;
}

template <class T>
void grouped_weight(const Conv2dShape& s, const BackwardWeightBuffers<T>& io, void* workspace,
                    int threads) {
  const WeightSchedule<T> p(s, threads);
  const WeightArrays<T> b(p, workspace);
  parallel_jobs(p.threads, p.shares * p.splits,
                [&](int64_t job, int thread) { sum_share(p, b, io, job, thread); });
  parallel_jobs(p.shares == 1 ? 1 : p.threads, p.g.vectors(),
                [&](int64_t v, int) { finish_vector(p, b, io, v); });
}

#define INSTANTIATE(T)                                               \
  template int64_t grouped_weight_bytes<T>(const Conv2dShape&, int); \
  template void grouped_weight(const Conv2dShape&, const BackwardWeightBuffers<T>&, void*, int);
FASTCONV_FOR_EACH_SUM(INSTANTIATE)

}  // namespace fastconv::cpu
