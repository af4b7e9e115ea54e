// Depthwise convolution of NCHW planes with stride 1, as they lie in memory: nothing is packed.
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
  const Isa isa;
  const DepthwiseKernels<T>& kernels;
  typename DepthwiseKernels<T>::Plane plane = nullptr;
  int64_t lanes, planes, parts, together;  // jobs are parts of a plane, or several planes
  int threads;

  PlaneSchedule(const DepthwiseCorrelation& c, int wanted_threads)
      : s(c),
        h(c.h.phase[0].axis),
        w(c.w.phase[0].axis),
        isa(isa_for_rows<T>(c.w.outputs)),
        kernels(depthwise_kernels<T>(isa)) {
    lanes = row_kernels<T>(isa).lanes;
    const bool dense = c.in.w == 1 && c.out.w == 1 && c.inputs == 1 && c.h.phases == 1 &&
                       c.w.phases == 1 && h.stride == 1 && w.stride == 1;
    const bool neighbours = (h.step == 1 || h.taps == 1) && (w.step == 1 || w.taps == 1);
    if (!dense || !neighbours || h.taps > DepthwiseKernels<T>::MOST_TAPS) return;
    if (c.h.outputs < kernels.plane_rows || 2 * c.w.outputs <= lanes) return;
    plane = kernels.plane[h.taps - 1];
    if (!plane) return;
    const int64_t pixels = c.h.outputs * c.w.outputs;
    planes = c.N * c.groups * c.outputs;
    threads = threads_for(planes * pixels * h.taps * w.taps, wanted_threads);
    parts = c.w.outputs < lanes ? 1
                                : clamp64(ceil_div(4 * threads, max64(1, planes)), 1,
                                          c.h.outputs / kernels.plane_rows);
    together = parts > 1 ? 1 : max64(1, JOB_PIXELS / pixels);
  }
  int64_t w_count() const { return s.groups * s.outputs * s.h.filter_taps * s.w.filter_taps; }
};

// The filters, widened if they have to be.
template <class T>
struct PlaneArrays {
  SumOf<T>* w;
  int64_t bytes;

  PlaneArrays(const PlaneSchedule<T>& p, void* base) {
    Workspace workspace(base);
    w = workspace.take<SumOf<T>>(IS_WIDENED<T> ? p.w_count() : 0);
    bytes = workspace.bytes();
  }
};

template <class T>
void run_planes(const PlaneSchedule<T>& p, const T* in, const T* w, const Epilogue<T>& epilogue,
                T* out, void* workspace) {
  const Finishing<T> finishing(epilogue, out);
  const T* bias = epilogue.bias;
  const SumOf<T>* filters = PlaneArrays<T>(p, workspace).w;
  if constexpr (IS_WIDENED<T>)
    row_kernels<T>(p.isa).copy_in(1, p.w_count(), w, 0, PlaneArrays<T>(p, workspace).w, 0, 0);
  else
    filters = w;
  const DepthwiseCorrelation& s = p.s;
  const int64_t taps = p.h.taps * p.w.taps, channels = s.groups * s.outputs;
  DepthwisePlane<T> all{};
  all.IH = s.h.source, all.IW = s.w.source, all.OH = s.h.outputs, all.OW = s.w.outputs;
  all.KW = p.w.taps;
  all.first_row = p.h.first, all.first_column = p.w.first;
  all.w_row = s.h.phase[0].step_k * p.w.taps, all.w_column = s.w.phase[0].step_k;
  const SumOf<T>* first_tap = filters + s.h.phase[0].first_k * p.w.taps + s.w.phase[0].first_k;
  all.ahead = 2 * p.kernels.plane_rows;
  // How far the vector of the last columns reaches beyond the end of a row.
  const int64_t over = max64(all.OW, p.lanes) + all.first_column + all.KW - all.IW;
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
      t.w = first_tap + c * taps;
      t.bias = bias ? SumOf<T>(bias[c]) : 0;
      t.finish = finishing.at(t.y);
      const int64_t elements = s.N * s.in.n, plane = s.h.source * s.w.source;
      const int64_t before = t.x - in, after = elements - before - plane;
      t.between_planes = before >= -t.first_column && after >= over;
      p.plane(t);
    }
  });
}

}  // namespace fastconv::cpu
