// Depthwise convolution, forward and backward_input (formula: correlate.h). Layer: cpu/depthwise,
// driver.
#include "correlate.h"

#include <algorithm>
#include <utility>

#include "../../core/dtype.h"
#include "../common/finish.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../common/lanes.h"
#include "planes.h"
#include "table.h"

namespace fastconv::cpu {
namespace {

// Loops, outermost first, and the data of each. In place (channels_last, one filter a channel):
//   n, band, share of the channels   parallel; a band is some rows of the output
//     block of channels              its rows of x stay in L2 until the row below needs them again,
//                                    its filters in L1
//       row, tile of columns         prefetches what the row below adds
//         vector of channels         one register tile, stored once
// NCHW with stride 1: planes.h. Other tensors are packed, a vector of groups at a time:
//   n, vector of groups, band        parallel; the band of x and of y: a quarter of L2
//     row, tile of columns           one register tile
constexpr int64_t ROWS_BYTES = 96 * 1024;       // a fifth of a 512 KiB L2
constexpr int64_t FILTER_BYTES = 24 * 1024;     // most of a 32 KiB L1
constexpr int64_t PACKED_BYTES = 128 * 1024;    // of a band of x and of y
constexpr int64_t BAND_ROWS = 8;                // at least: rows above a band are read again
constexpr int64_t AHEAD_BYTES = 256 * 1024;     // of an image: smaller ones are in L2 already
constexpr int64_t PAST_CACHES_BYTES = 4 << 20;  // of y: a reader behind it gains from 4 MB on

template <class T>
struct CorrelateSchedule {
  using Sum = SumOf<T>;  // of packed bands, filters and bias
  const DepthwiseCorrelation& s;
  const Isa isa = isa_for_channels(s.groups, sizeof(Sum));
  const RowKernels<T>& k = row_kernels<T>(isa);
  const DepthwiseKernels<T>& kernels = depthwise_kernels<T>(isa);
  const DepthwiseKernels<Sum>& packed_kernels = depthwise_kernels<Sum>(isa);
  const GroupVectors vectors{s.groups, k.lanes};
  const int64_t taps = s.h.filter_taps * s.w.filter_taps;
  const int64_t filters = max64(s.inputs, s.outputs);  // of a group
  const bool in_place = s.in.c == 1 && s.out.c == 1 && filters == 1 && s.groups >= k.lanes &&
                        kernels.any_row != nullptr;
  int threads;
  int64_t band_rows, bands;
  int64_t block, shares;          // in place: channels of a block, jobs that share the channels
  int64_t packed_in, packed_out;  // elements of a packed band

  CorrelateSchedule(const DepthwiseCorrelation& correlation, int wanted_threads) : s(correlation) {
    const int64_t outputs = s.N * s.groups * s.outputs * s.h.outputs * s.w.outputs;
    threads = threads_for(outputs * s.inputs * max64(1, taps), wanted_threads);
    if (in_place) {
      constexpr int64_t LINE = CACHE_LINE / sizeof(T);
      const int64_t row = max64(1, s.h.most_source_rows(1) * s.w.source) * int64_t(sizeof(T));
      const int64_t filter = max64(1, taps) * int64_t(sizeof(Sum));
      const int64_t most = min64(ROWS_BYTES / row, FILTER_BYTES / filter);
      block = min64(s.groups, max64(k.lanes, most / LINE * LINE));
      const int64_t blocks = s.groups / block;
      const int64_t wanted = ceil_div(4 * threads, max64(1, s.N));
      band_rows = max64(min64(BAND_ROWS, s.h.outputs), ceil_div(s.h.outputs, wanted));
      bands = ceil_div(s.h.outputs, band_rows);
      shares = clamp64(ceil_div(4 * threads, max64(1, s.N * bands)), 1, blocks);
      packed_in = packed_out = 0;
    } else {
      const int64_t most = PACKED_BYTES / int64_t(sizeof(Sum)) / k.lanes;
      band_rows = s.h.outputs;
      while (band_rows > 1 && band_pixels(band_rows) > most) band_rows = ceil_div(band_rows, 2);
      bands = ceil_div(s.h.outputs, band_rows);
      shares = vectors.count();
      packed_in = s.h.most_source_rows(band_rows) * s.w.source * k.lanes;
      packed_out = band_rows * s.w.outputs * k.lanes;
    }
  }
  // Sums over several inputs alternate between two bands of the output.
  int64_t packed() const { return packed_in + (s.inputs > 1 ? 2 : 1) * packed_out; }
  int64_t band_pixels(int64_t rows) const {
    return s.h.most_source_rows(rows) * s.w.source + rows * s.w.outputs;
  }
};

template <class T>
struct CorrelateArrays {
  using Sum = SumOf<T>;
  RowTaps* rows;  // [output rows]
  Sum* weight;    // [filters][filter taps][padded groups]
  Sum* bias;      // [outputs][padded groups]
  Sum* packed;    // [threads]: band of the input, one or two of the output
  int64_t bytes;

  CorrelateArrays(const CorrelateSchedule<T>& p, void* base) {
    Workspace workspace(base);
    rows = workspace.take<RowTaps>(p.s.h.outputs);
    weight = workspace.take<Sum>(p.filters * p.taps * p.vectors.padded());
    bias = workspace.take<Sum>(p.s.outputs * p.vectors.padded());
    packed = workspace.take<Sum>(p.threads * p.packed());
    bytes = workspace.bytes();
  }
};

template <class T>
void pack_filters(const CorrelateSchedule<T>& p, const T* w, const T* bias,
                  const CorrelateArrays<T>& b) {
  const int64_t width = p.vectors.padded(), groups = p.s.groups;
  if (groups < width) std::fill(b.weight, b.weight + p.filters * p.taps * width, SumOf<T>(0));
  constexpr int64_t TOGETHER = 64;  // groups of a job
  const int64_t jobs = ceil_div(groups, TOGETHER);
  parallel_jobs(p.filters * p.taps * groups < 10'000 ? 1 : p.threads, jobs * p.filters,
                [&](int64_t job, int) {
                  const int64_t first = job % jobs * TOGETHER, m = job / jobs;
                  p.k.transpose_in(min64(TOGETHER, groups - first), p.taps,
                                   w + (first * p.filters + m) * p.taps, p.filters * p.taps,
                                   b.weight + m * p.taps * width + first, width);
                });
  for (int64_t o = 0; o < p.s.outputs; ++o)
    for (int64_t g = 0; g < width; ++g)
      b.bias[o * width + g] = bias && g < groups ? SumOf<T>(bias[g * p.s.outputs + o]) : 0;
}

// Returns the leaf kernel for one phase of the columns.
template <class T>
typename DepthwiseKernels<T>::Row row_kernel(const DepthwiseKernels<T>& k, const Axis& columns) {
  using Kernels = DepthwiseKernels<T>;
  const bool neighbours = columns.step == 1 || columns.taps <= 1;
  if (!neighbours || columns.stride > Kernels::MOST_STRIDE || columns.taps < 1 ||
      columns.taps > Kernels::MOST_TAPS)
    return k.any_row;
  const auto row = k.row[columns.stride - 1][columns.taps - 1];
  return row ? row : k.any_row;
}

// Where the rows of a band are, from row 0 and column 0 of the image on, and which channels run.
template <class T>
struct CorrelateRows {
  using Sum = SumOf<T>;
  const T* in;
  int64_t in_row, in_column;
  const Sum* start;                 // added to every sum
  int64_t start_row, start_column;  // 0: the same for every pixel
  T* out;
  int64_t out_row, out_column;
  Finish<T> finish;  // beside out
  const Sum* weight;
  int64_t channels;
  bool ahead, past_caches;
};

// Output row o, all columns, phase by phase.
template <class T, class E>
void correlate_row(const CorrelateSchedule<T>& p, const DepthwiseKernels<E>& kernels,
                   const RowTaps& taps, const CorrelateRows<E>& t, int64_t o) {
  const DepthwiseCorrelation& s = p.s;
  const Phase& h = *taps.phase;
  const int64_t width = p.vectors.padded();
  const int64_t weight_row = s.w.filter_taps * width;
  for (int64_t c = 0; c < s.w.phases; ++c) {
    const Phase& w = s.w.phase[c];
    E* out = t.out + o * t.out_row + c * t.out_column;
    DepthwiseRow<E> row{};
    row.columns = {w.axis.outputs, s.w.source,  w.axis.stride,
                   w.axis.first,   w.axis.taps, w.axis.step};
    row.channels = t.channels;
    row.rows = taps.end - taps.begin;
    row.x = t.in + taps.first * t.in_row;
    row.x_row = h.axis.step * t.in_row;
    row.x_column = t.in_column;
    row.w = t.weight + (h.first_k + taps.begin * h.step_k) * weight_row + w.first_k * width;
    row.w_row = h.step_k * weight_row;
    row.w_column = w.step_k * width;
    row.start = t.start + o * t.start_row + c * t.start_column;
    row.start_column = s.w.phases * t.start_column;
    row.y = out;
    row.y_column = s.w.phases * t.out_column;
    row.finish = t.finish;
    if (t.finish.addend) row.finish.addend += out - t.out;
    row.past_caches = t.past_caches;
    if (t.ahead) row.x_ahead = row.rows * row.x_row;
    if (t.ahead && !t.past_caches) row.y_ahead = t.out_row;
    row_kernel(kernels, w.axis)(row);
  }
}

// channels_last with a filter for each channel. job = (n, band, share).
template <class T>
void run_in_place(const CorrelateSchedule<T>& p, const CorrelateArrays<T>& b, const T* in,
                  const Finishing<T>& finishing, T* out, int64_t job) {
  const DepthwiseCorrelation& s = p.s;
  const int64_t share = job % p.shares, band = job / p.shares % p.bands,
                n = job / p.shares / p.bands;
  const int64_t o_begin = band * p.band_rows, o_end = min64(o_begin + p.band_rows, s.h.outputs);
  const int64_t blocks = s.groups / p.block;
  for (int64_t i = share * blocks / p.shares; i < (share + 1) * blocks / p.shares; ++i) {
    const int64_t c = i * p.block;
    CorrelateRows<T> rows{};
    rows.in = in + n * s.in.n + c;
    rows.in_row = s.in.h;
    rows.in_column = s.in.w;
    rows.start = b.bias + c;
    rows.out = out + n * s.out.n + c;
    rows.finish = finishing.at(rows.out);
    rows.out_row = s.out.h;
    rows.out_column = s.out.w;
    rows.weight = b.weight + c;
    rows.channels = i + 1 == blocks ? s.groups - c : p.block;
    rows.ahead = s.in.n * int64_t(sizeof(T)) >= AHEAD_BYTES;
    rows.past_caches = !IS_WIDENED<T> && s.N * s.out.n * int64_t(sizeof(T)) >= PAST_CACHES_BYTES &&
                       reinterpret_cast<uintptr_t>(out) % CACHE_LINE == 0 &&
                       s.groups % p.k.lanes == 0;
    for (int64_t o = o_begin; o < o_end; ++o) correlate_row(p, p.kernels, b.rows[o], rows, o);
  }
}

// Every other tensor. job = (n, vector of groups, band).
template <class T>
void run_packed(const CorrelateSchedule<T>& p, const CorrelateArrays<T>& b, const T* in,
                const Finishing<T>& finishing, T* out, int64_t job, int thread) {
  const DepthwiseCorrelation& s = p.s;
  const int64_t band = job % p.bands, vector = job / p.bands % p.shares,
                n = job / p.bands / p.shares;
  const int64_t o_begin = band * p.band_rows, o_end = min64(o_begin + p.band_rows, s.h.outputs);
  const int64_t lanes = p.k.lanes, g = p.vectors.first(vector), width = p.vectors.padded();
  const Window source = source_rows(b.rows, o_begin, o_end);
  SumOf<T>* packed = b.packed + thread * p.packed();
  if (p.vectors.used() < lanes) std::fill(packed, packed + p.packed_in, SumOf<T>(0));
  const int64_t out_row = s.w.outputs * lanes;
  CorrelateRows<SumOf<T>> rows{};
  rows.in = packed - source.first * s.w.source * lanes;
  rows.in_row = s.w.source * lanes;
  rows.in_column = rows.out_column = rows.channels = lanes;
  rows.out_row = out_row;
  for (int64_t o = 0; o < s.outputs; ++o) {
    SumOf<T>* result = packed + p.packed_in;
    SumOf<T>* earlier = result + p.packed_out;  // the sums over the inputs before
    for (int64_t i = 0; i < s.inputs; ++i, std::swap(result, earlier)) {
      if (o == 0)
        pack_lanes(p.k, in + n * s.in.n, s.in, {g * s.inputs + i, s.inputs, p.vectors.used()},
                   source.first, source.end - source.first, s.w.source, packed, lanes);
      rows.weight = b.weight + (i + o) * p.taps * width + g;
      rows.start = i == 0 ? b.bias + o * width + g : earlier - o_begin * out_row;
      rows.start_row = i == 0 ? 0 : out_row;
      rows.start_column = i == 0 ? 0 : lanes;
      rows.out = result - o_begin * out_row;
      for (int64_t row = o_begin; row < o_end; ++row)
        correlate_row(p, p.packed_kernels, b.rows[row], rows, row);
    }
    unpack_lanes(p.k, earlier, lanes, {g * s.outputs + o, s.outputs, p.vectors.used()}, o_begin,
                 o_end - o_begin, s.w.outputs, finishing, out + n * s.out.n, s.out);
  }
}

}  // namespace

template <class T>
int64_t depthwise_correlate_bytes(const DepthwiseCorrelation& s, int threads) {
  const PlaneSchedule<T> planes(s, threads);
  if (planes.plane) return PlaneArrays<T>(planes, nullptr).bytes;
  return CorrelateArrays<T>(CorrelateSchedule<T>(s, threads), nullptr).bytes;
}

template <class T>
bool depthwise_runs_in_planes(const DepthwiseCorrelation& s) {
  return PlaneSchedule<T>(s, 1).plane != nullptr;
}

template <class T>
void depthwise_correlate(const DepthwiseCorrelation& s, const T* in, const T* w,
                         const Epilogue<T>& epilogue, T* out, void* workspace, int threads) {
  const PlaneSchedule<T> planes(s, threads);
  if (planes.plane) return run_planes(planes, in, w, epilogue, out, workspace);
  const CorrelateSchedule<T> p(s, threads);
  const CorrelateArrays<T> b(p, workspace);
  fill_rows(s.h, b.rows);
  pack_filters(p, w, epilogue.bias, b);
  const Finishing<T> finishing(epilogue, out);
  parallel_jobs(p.threads, s.N * p.bands * p.shares, [&](int64_t job, int thread) {
    if (p.in_place)
      run_in_place(p, b, in, finishing, out, job);
    else
      run_packed(p, b, in, finishing, out, job, thread);
  });
}

#define INSTANTIATE(T)                                                               \
  template int64_t depthwise_correlate_bytes<T>(const DepthwiseCorrelation&, int);   \
  template bool depthwise_runs_in_planes<T>(const DepthwiseCorrelation&);            \
  template void depthwise_correlate(const DepthwiseCorrelation&, const T*, const T*, \
                                    const Epilogue<T>&, T*, void*, int);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
