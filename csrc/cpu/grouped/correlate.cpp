// Grouped convolution, forward and backward_input (formula: correlate.h). Layer: cpu/grouped, driver.
#include "correlate.h"

#include <algorithm>

#include "../../core/dtype.h"
#include "../common/finish.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "groups.h"

namespace fastconv::cpu {
namespace {

// Loops, outermost first, and the data of each. In place (channels_last):
//   n, band, block of channels   parallel; a band is some rows of the output, a block has whole units;
//                                its filters stay in L1
//     row, tile of columns       rows of x are read again from L2
//       vector of channels       one register tile, stored once
// Other tensors are packed, a unit at a time:
//   n, unit, band                parallel; packs the band of x: a quarter of L2
//     vector of channels
//       row, tile of columns     one register tile; the band of y is then unpacked
constexpr int64_t FILTER_BYTES = 24 * 1024;   // most of a 32 KiB L1
constexpr int64_t PACKED_BYTES = 128 * 1024;  // of a band of x and of y
constexpr int64_t LEAST_ROWS = 2;             // of a band
constexpr int64_t BAND_ROWS = 8;              // at least: rows above a band are read again

template <class T>
struct CorrelateSchedule {
  const GroupedCorrelation& s;
  const GroupChannels<T> g;
  const int64_t taps, filter;  // taps, elements of the packed filters of a vector
  const bool in_place;
  int threads;
  int64_t band_rows, bands;       // most rows of a band; bands, cut evenly
  int64_t block, blocks;          // in place: units of a block
  int64_t packed_in, packed_out;  // elements of a packed band

  CorrelateSchedule(const GroupedCorrelation& correlation, int wanted_threads)
      : s(correlation),
        g(s.groups, s.inputs, s.outputs),
        taps(s.h.filter_taps * s.w.filter_taps),
        filter(s.inputs * taps * g.lanes),
        in_place(s.in.c == 1 && s.out.c == 1 && g.in_place()) {
    const int64_t outputs = s.N * g.channels() * s.h.outputs * s.w.outputs;
    threads = threads_for(outputs * s.inputs * max64(1, taps), wanted_threads);
    if (in_place) {
      // A vector that overlaps another is in the same block.
      const int64_t bytes = max64(1, filter * g.unit_vectors()) * int64_t(sizeof(T));
      const int64_t whole = g.same() ? g.units() : g.channels() / g.lanes;
      block = clamp64(FILTER_BYTES / bytes, 1, whole);
      blocks = whole / block;
      const int64_t wanted = ceil_div(4 * threads, max64(1, s.N * blocks));
      band_rows = max64(min64(BAND_ROWS, s.h.outputs), ceil_div(s.h.outputs, wanted));
    } else {
      const int64_t most = PACKED_BYTES / int64_t(sizeof(T));
      band_rows = s.h.outputs;
      while (band_rows > 1 && band_elements(band_rows) > most) band_rows = ceil_div(band_rows, 2);
      block = 1;
      blocks = g.units();
    }
    const int64_t least = max64(1, ceil_div(s.h.outputs, band_rows));
    bands = even_cut(least, s.h.outputs / LEAST_ROWS, s.N * blocks, threads);
    band_rows = ceil_div(s.h.outputs, bands);
    packed_in = in_place ? 0 : s.h.most_source_rows(band_rows) * s.w.source * g.input_width();
    packed_out = in_place ? 0 : band_rows * s.w.outputs * g.lanes;
  }
  // The first output row of a band.
  int64_t first(int64_t band) const { return band * s.h.outputs / bands; }
  int64_t band_elements(int64_t rows) const {
    return s.h.most_source_rows(rows) * s.w.source * g.input_width() + rows * s.w.outputs * g.lanes;
  }
};

template <class T>
struct CorrelateArrays {
  RowTaps* rows;  // [output rows]
  T* weight;      // [vectors][inputs][KH][KW][lanes]
  T* bias;        // [vectors][lanes]
  T* packed;      // [threads]: band of the input, of the output
  int64_t bytes;

  CorrelateArrays(const CorrelateSchedule<T>& p, void* base) {
    Workspace workspace(base);
    rows = workspace.take<RowTaps>(p.s.h.outputs);
    weight = workspace.take<T>(p.g.vectors() * p.filter);
    bias = workspace.take<T>(p.g.vectors() * p.g.lanes);
    packed = workspace.take<T>(p.threads * (p.packed_in + p.packed_out));
    bytes = workspace.bytes();
  }
};

// Packs the filters and the bias of one vector.
template <class T>
void pack_vector(const CorrelateSchedule<T>& p, const T* w, const T* bias,
                 const CorrelateArrays<T>& b, int64_t vector) {
  const GroupedCorrelation& s = p.s;
  const int64_t lanes = p.g.lanes, used = p.g.used(), first = p.g.first(vector);
  T* to = b.weight + vector * p.filter;
  if (used < lanes) std::fill(to, to + p.filter, T(0));
  for (int64_t lane = 0; lane < lanes; ++lane)
    b.bias[vector * lanes + lane] = bias && lane < used ? bias[first + lane] : T(0);
  const int64_t terms = s.inputs * p.taps;
  const bool dense = s.weight.w == 1 && s.weight.h == s.w.filter_taps && s.weight.c == p.taps &&
                     s.weight.n == terms;
  if (dense) return p.g.k.transpose(used, terms, w + first * terms, terms, to, lanes);
  for (int64_t lane = 0; lane < used; ++lane) {
    const int64_t group = (first + lane) / s.outputs, o = (first + lane) % s.outputs;
    const T* from = w + group * s.weight_group + o * s.weight.n;
    T* term = to + lane;
    for (int64_t i = 0; i < s.inputs; ++i)
      for (int64_t kh = 0; kh < s.h.filter_taps; ++kh)
        for (int64_t kw = 0; kw < s.w.filter_taps; ++kw, term += lanes)
          *term = from[i * s.weight.c + kh * s.weight.h + kw * s.weight.w];
  }
}

// Returns the leaf kernel for one phase of the columns.
template <class T>
typename GroupedKernels<T>::Row row_kernel(const GroupChannels<T>& g, const Axis& columns) {
  const auto& kernels = g.kernels();
  const bool neighbours = columns.step == 1 || columns.taps <= 1;
  const bool special = neighbours && columns.stride <= GroupedKernels<T>::MOST_STRIDE;
  return special ? kernels.row[columns.stride - 1] : kernels.any_row;
}

// Where the rows of a band are, from row 0 and column 0 of the image on, and which vectors run.
template <class T>
struct CorrelateRows {
  const T* in;
  int64_t in_row, in_column;
  T* out;
  int64_t out_row, out_column;
  int64_t vector, vectors;  // the first, how many
  int64_t last;             // first channel of the last of them, from `out` on
};

// Output row o, all columns, phase by phase.
template <class T>
void correlate_row(const CorrelateSchedule<T>& p, const CorrelateArrays<T>& b,
                   const CorrelateRows<T>& t, int64_t o) {
  const GroupedCorrelation& s = p.s;
  const RowTaps& taps = b.rows[o];
  const Phase& h = *taps.phase;
  const int64_t lanes = p.g.lanes, w_row = s.w.filter_taps * lanes;
  GroupedRow<T> row{};
  row.inputs = s.inputs;
  row.vectors = t.vectors;
  row.last = t.last;
  row.rows = taps.end - taps.begin;
  row.x = t.in + taps.first * t.in_row;
  row.x_row = h.axis.step * t.in_row;
  row.x_column = t.in_column;
  row.w_vector = p.filter;
  row.w_input = p.taps * lanes;
  row.w_row = h.step_k * w_row;
  row.start = b.bias + t.vector * lanes;
  row.y_column = s.w.phases * t.out_column;
  const T* weight = b.weight + t.vector * p.filter + (h.first_k + taps.begin * h.step_k) * w_row;
  for (int64_t c = 0; c < s.w.phases; ++c) {
    const Phase& w = s.w.phase[c];
    row.columns = w.axis;
    row.w = weight + w.first_k * lanes;
    row.w_column = w.step_k * lanes;
    row.y = t.out + o * t.out_row + c * t.out_column;
    row_kernel(p.g, w.axis)(row);
  }
}

// channels_last. job = (n, block, band).
template <class T>
void run_in_place(const CorrelateSchedule<T>& p, const CorrelateArrays<T>& b, const T* in,
                  const Finishing<T>& finishing, T* out, int64_t job) {
  const GroupedCorrelation& s = p.s;
  const int64_t band = job % p.bands, block = job / p.bands % p.blocks,
                n = job / p.bands / p.blocks;
  const int64_t o_begin = p.first(band), o_end = p.first(band + 1);
  const int64_t first = block * p.block;
  const int64_t end = block + 1 == p.blocks ? p.g.units() : first + p.block;
  CorrelateRows<T> rows{};
  rows.in_row = s.in.h;
  rows.in_column = s.in.w;
  rows.out_row = s.out.h;
  rows.out_column = s.out.w;
  const int64_t step = p.g.same() ? 1 : end - first;  // a call has one group, or all vectors
  rows.vectors = step * p.g.unit_vectors();
  // The channels of the block, which share a pixel's memory with those of no other.
  const int64_t block_first = p.g.first(first * p.g.unit_vectors());
  const int64_t block_end = p.g.first(end * p.g.unit_vectors() - 1) + p.g.lanes;
  for (int64_t o = o_begin; o < o_end; ++o) {
    for (int64_t unit = first; unit < end; unit += step) {
      rows.vector = unit * p.g.unit_vectors();
      const int64_t m = p.g.first(rows.vector);
      rows.in = in + n * s.in.n + p.g.inputs_of(unit).first;
      rows.out = out + n * s.out.n + m;
      rows.last = p.g.first(rows.vector + rows.vectors - 1) - m;
      correlate_row(p, b, rows, o);
    }
    finishing.in_place(p.g.k, block_end - block_first, 1, s.w.outputs,
                       out + n * s.out.n + block_first + o * s.out.h, s.out);
  }
}

// Every other tensor. job = (n, unit, band).
template <class T>
void run_packed(const CorrelateSchedule<T>& p, const CorrelateArrays<T>& b, const T* in,
                const Finishing<T>& finishing, T* out, int64_t job, int thread) {
  const GroupedCorrelation& s = p.s;
  const int64_t band = job % p.bands, unit = job / p.bands % p.blocks, n = job / p.bands / p.blocks;
  const int64_t o_begin = p.first(band), o_end = p.first(band + 1);
  const int64_t lanes = p.g.lanes, width = p.g.input_width(), out_row = s.w.outputs * lanes;
  const Window source = source_rows(b.rows, o_begin, o_end);
  const LaneChannels inputs = p.g.inputs_of(unit);
  T* packed = b.packed + thread * (p.packed_in + p.packed_out);
  T* result = packed + p.packed_in;
  if (inputs.count < width) std::fill(packed, packed + p.packed_in, T(0));
  pack_lanes(p.g.k, in + n * s.in.n, s.in, inputs, source.first, source.end - source.first,
             s.w.source, packed, width);
  CorrelateRows<T> rows{};
  rows.in = packed - source.first * s.w.source * width;
  rows.in_row = s.w.source * width;
  rows.in_column = width;
  rows.out = result - o_begin * out_row;
  rows.out_row = out_row;
  rows.out_column = lanes;
  rows.vectors = 1;
  for (int64_t v = 0; v < p.g.unit_vectors(); ++v) {
    rows.vector = unit * p.g.unit_vectors() + v;
    for (int64_t o = o_begin; o < o_end; ++o) correlate_row(p, b, rows, o);
    const int64_t shared = p.g.shared(rows.vector);
    unpack_lanes(p.g.k, result + shared, lanes,
                 {p.g.first(rows.vector) + shared, 1, p.g.used() - shared}, o_begin,
                 o_end - o_begin, s.w.outputs, finishing, out + n * s.out.n, s.out);
  }
}

}  // namespace

template <class T>
int64_t grouped_correlate_bytes(const GroupedCorrelation& s, int threads) {
  return CorrelateArrays<T>(CorrelateSchedule<T>(s, threads), nullptr).bytes;
}

template <class T>
void grouped_correlate(const GroupedCorrelation& s, const T* in, const T* w,
                       const Epilogue<T>& epilogue, T* out, void* workspace, int threads) {
  const CorrelateSchedule<T> p(s, threads);
  const CorrelateArrays<T> b(p, workspace);
  const Finishing<T> finishing(epilogue, out);
  fill_rows(s.h, b.rows);
  parallel_jobs(p.g.vectors() * p.filter < 10'000 ? 1 : p.threads, p.g.vectors(),
                [&](int64_t vector, int) { pack_vector(p, w, epilogue.bias, b, vector); });
  parallel_jobs(p.threads, s.N * p.bands * p.blocks, [&](int64_t job, int thread) {
    if (p.in_place)
      run_in_place(p, b, in, finishing, out, job);
    else
      run_packed(p, b, in, finishing, out, job, thread);
  });
}

#define INSTANTIATE(T)                                                           \
  template int64_t grouped_correlate_bytes<T>(const GroupedCorrelation&, int);   \
  template void grouped_correlate(const GroupedCorrelation&, const T*, const T*, \
                                  const Epilogue<T>&, T*, void*, int);
FASTCONV_FOR_EACH_SUM(INSTANTIATE)

}  // namespace fastconv::cpu
