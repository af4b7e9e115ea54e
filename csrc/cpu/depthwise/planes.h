// Depthwise convolution of planes with stride 1, as they lie in memory: nothing is packed. A plane is a
// channel of an NCHW image, or a whole channels_last image of fewer channels than lanes (table.h).
// Layer: cpu/depthwise, for the driver in correlate.cpp.
//
// Loops, outermost first, and the data of each:
//   n, output channel      parallel: a part of a plane, or several planes
//     tile of rows         prefetches what the tile after the next one needs
//       tile of columns    one register tile: x from L1 or L2, the filter from L1
#pragma once

#include "../common/finish.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "correlate.h"
#include "table.h"

namespace fastconv::cpu {

constexpr int64_t JOB_PIXELS = 4096;  // of a job that has several planes

// AVX2 where rows are shorter than a vector of AVX-512.
template <class T>
Isa isa_for_rows(int64_t columns) {
  return columns < row_kernels<T>(isa()).lanes ? isa_for_channels(1, sizeof(SumOf<T>)) : isa();
}

template <class T>
struct PlaneSchedule {
  const DepthwiseCorrelation& s;
  const Axis &h, &w;
  const bool is_flat;    // a plane is an image
  const int64_t column;  // elements between neighbouring columns
  const int64_t width;   // elements of a row of the output
  const Isa isa;
  const DepthwiseKernels<T>& kernels;
  typename DepthwiseKernels<T>::Plane plane = nullptr;
  int64_t lanes, planes, parts, together;  // jobs are parts of a plane, or several planes
  int threads;

  PlaneSchedule(const DepthwiseCorrelation& c, int wanted_threads)
      : s(c),
        h(c.h.phase[0].axis),
        w(c.w.phase[0].axis),
        is_flat(c.groups > 1 && c.in.c == 1 && c.out.c == 1 && c.in.w == c.groups &&
                c.out.w == c.groups),
        column(is_flat ? c.groups : 1),
        width(c.w.outputs * column),
        isa(isa_for_rows<T>(width)),
        kernels(depthwise_kernels<T>(isa)) {
    lanes = row_kernels<T>(isa).lanes;
    const bool dense = is_flat ? c.outputs == 1 && c.groups < lanes : c.in.w == 1 && c.out.w == 1;
    const bool unit = c.inputs == 1 && c.h.phases == 1 && c.w.phases == 1 && h.stride == 1 &&
                      w.stride == 1 && (h.step == 1 || h.taps == 1) && (w.step == 1 || w.taps == 1);
    if (!dense || !unit || h.taps < 1) return;
    if (c.h.outputs < kernels.plane_rows || 2 * width <= lanes) return;
    using Kernels = DepthwiseKernels<T>;
    if (is_flat)
      plane = kernels.flat_plane;
    else if (h.taps <= Kernels::MOST_TAPS && kernels.plane[h.taps - 1])
      plane = kernels.plane[h.taps - 1];
    else
      plane = kernels.any_plane;
    if (!plane) return;
    const int64_t pixels = c.h.outputs * width;
    planes = is_flat ? c.N : c.N * c.groups * c.outputs;
    threads = threads_for(planes * pixels * h.taps * w.taps, wanted_threads);
    parts = width < lanes ? 1
                          : clamp64(ceil_div(4 * threads, max64(1, planes)), 1,
                                    c.h.outputs / kernels.plane_rows);
    together = parts > 1 ? 1 : max64(1, JOB_PIXELS / pixels);
  }
  int64_t taps() const { return s.h.filter_taps * s.w.filter_taps; }
  int64_t w_count() const { return s.groups * s.outputs * taps(); }
  // Elements of a row in which the weights of the channels repeat: a vector from each channel on.
  int64_t pitch() const { return is_flat ? round_up(lanes + s.groups, lanes) : 1; }
};

// The filters: of a flat plane as rows in which channels repeat, else widened if they have to be.
template <class T>
struct PlaneArrays {
  SumOf<T>*w, *bias;
  int64_t bytes;

  PlaneArrays(const PlaneSchedule<T>& p, void* base) {
    Workspace workspace(base);
    const int64_t packed = p.is_flat ? p.taps() * p.pitch() : IS_WIDENED<T> ? p.w_count() : 0;
    w = workspace.take<SumOf<T>>(packed);
    bias = workspace.take<SumOf<T>>(p.is_flat ? p.pitch() : p.s.groups * p.s.outputs);
    bytes = workspace.bytes();
  }
};

// Returns the filters as the leaf kernels take them.
template <class T>
const SumOf<T>* plane_filters(const PlaneSchedule<T>& p, const PlaneArrays<T>& b, const T* w,
                              const T* bias) {
  const int64_t channels = p.s.groups * p.s.outputs, many = p.is_flat ? p.pitch() : channels;
  for (int64_t c = 0; c < many; ++c) b.bias[c] = bias ? SumOf<T>(bias[c % channels]) : 0;
  if (p.is_flat) {
    for (int64_t tap = 0; tap < p.taps(); ++tap)
      for (int64_t i = 0; i < p.pitch(); ++i)
        b.w[tap * p.pitch() + i] = SumOf<T>(w[i % channels * p.taps() + tap]);
    return b.w;
  }
  if constexpr (IS_WIDENED<T>) {
    row_kernels<T>(p.isa).copy_in(1, p.w_count(), w, 0, b.w, 0, 0);
    return b.w;
  } else {
    return w;
  }
}

template <class T>
void run_planes(const PlaneSchedule<T>& p, const T* in, const T* w, const Epilogue<T>& epilogue,
                T* out, void* workspace) {
  const Finishing<T> finishing(epilogue, out);
  const PlaneArrays<T> arrays(p, workspace);
  const SumOf<T>* filters = plane_filters(p, arrays, w, epilogue.bias);
  const DepthwiseCorrelation& s = p.s;
  const int64_t channels = p.is_flat ? 1 : s.groups * s.outputs, pitch = p.pitch();
  const int64_t KW = s.w.filter_taps;
  DepthwisePlane<T> all{};
  all.IH = s.h.source, all.IW = s.w.source * p.column;
  all.OH = s.h.outputs, all.OW = p.width;
  all.KH = p.h.taps, all.KW = p.w.taps;
  all.x_column = p.column;
  all.first_row = p.h.first, all.first_column = p.w.first * p.column;
  all.w_row = s.h.phase[0].step_k * KW * pitch, all.w_column = s.w.phase[0].step_k * pitch;
  const SumOf<T>* first_tap = filters + (s.h.phase[0].first_k * KW + s.w.phase[0].first_k) * pitch;
  all.ahead = 2 * p.kernels.plane_rows;
  // How far the vector of the last columns reaches beyond the end of a row.
  const int64_t over =
      max64(all.OW, p.lanes) + all.first_column + (all.KW - 1) * p.column + 1 - all.IW;
  parallel_jobs(p.threads, ceil_div(p.planes, p.together) * p.parts, [&](int64_t job, int) {
    const int64_t begin = job / p.parts * p.together, part = job % p.parts;
    DepthwisePlane<T> t = all;
    const int64_t tiles = ceil_div(t.OH, p.kernels.plane_rows);
    t.begin = part * tiles / p.parts * p.kernels.plane_rows;
    t.end = min64(t.OH, (part + 1) * tiles / p.parts * p.kernels.plane_rows);
    for (int64_t i = begin; i < min64(begin + p.together, p.planes); ++i) {
      const int64_t n = i / channels, c = i % channels;
      t.x = in + n * s.in.n + c / s.outputs * s.in.c;
      t.y = out + n * s.out.n + c * s.out.c;
      t.w = first_tap + c * p.taps();
      t.bias = arrays.bias + c;
      t.finish = finishing.at(t.y);
      const int64_t elements = s.N * s.in.n, plane = all.IH * all.IW;
      const int64_t before = t.x - in, after = elements - before - plane;
      t.between_planes = before >= -t.first_column && after >= over;
      p.plane(t);
    }
  });
}

}  // namespace fastconv::cpu
