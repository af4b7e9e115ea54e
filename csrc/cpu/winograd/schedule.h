// Winograd, forward and backward_input: the two loop nests, which of them runs, and its workspace.
// Layer: cpu/winograd, for drivers.
#pragma once

#include <atomic>

#include "../common/workspace.h"
#include "tiles.h"
#include "winograd.h"

namespace fastconv::cpu {

// There are two loop nests, for either form. A block is some 40 tiles, a unit some 32 output
// channels m, a part 64 channels c.
//
// Shared filters (U is small): U is made once and stays in L3.
//   block        parallel; V of the block, all channels, stays in L2
//     units      CHUNK_CHANNELS of M at a time
//       xi       U[xi] of the units streams from L2 / L3
//         part   the panel b is in L1; a sum of short sums rounds less
//       output   inverse transform, written
//
// Private filters (U would not stay in cache, or blocks are few and no more than units, so that
// units are the better jobs): V of up to SHARED_INPUT_BYTES is made first. If there is a single
// block, every thread makes V for itself, because the others would wait and then read another
// thread's cache.
//   unit         parallel; makes U of the unit and keeps it in L2
//     block      as above
// By groups, if each group has a single block and threads get as many groups: a group has few units.
//   group        parallel; makes V
//     unit       as above
// By parts, if there are so few tiles that M of all blocks stays in L2:
//   unit         parallel
//     part       U of the part, 300 KB
//       block
//         xi
//     output     of all blocks
//
// The caller may keep shared filters. Private filters never leave L2: reading them from memory
// would take longer than making them.
constexpr int64_t CHUNK_CHANNELS = 64;
constexpr int64_t SHARED_FILTER_BYTES = int64_t(8) << 20;
constexpr int64_t SHARED_INPUT_BYTES = int64_t(32) << 20;
constexpr int64_t STREAMED_INPUT_BYTES = int64_t(2) << 20;  // larger V: non-temporal stores
constexpr int64_t MOST_OUTPUT_BYTES = int64_t(1) << 19;     // of M, beside a part of U in L2

// A form (across_*.h) provides
//   blocks()                        blocks of v_block elements of V
//   units                           units of `unit` output channels m and u_unit elements of U
//   m_count(units), scratch_count() elements of M, and of scratch
//   transform_input(block)          makes V, with non-temporal stores if `stream`
//   transform_filters(unit)         makes U
//   multiply(block, units)          makes M
//   transform_output(block, units)  makes y; returns whether the outputs are valid
template <class Form, class P>
struct WinogradSchedule {
  using T = SumOf<P>;  // of V, U and M; x, w and y are stored as P
  Form form;
  int threads;
  WinogradSeconds* seconds;
  bool filters_private;
  int64_t chunk;         // units of M that exist at a time
  int64_t super_blocks;  // blocks whose V exists at a time, with private filters
  bool own_input;        // each thread has V of the only block
  bool by_groups;        // and computes whole groups
  bool by_parts;         // M of all blocks stays in L2, and only a part of U exists at a time
  mutable std::atomic<bool> stands{true};  // whether all outputs so far are valid

  WinogradSchedule(const WinogradConv& conv, int wanted_threads, WinogradSeconds* stages)
      : form(conv, wanted_threads), threads(wanted_threads), seconds(stages) {
    filters_private = form.units * form.u_unit * int64_t(sizeof(T)) > SHARED_FILTER_BYTES ||
                      units_are_jobs(form.blocks(), form.units);
    chunk = filters_private ? 1 : min64(form.units, max64(1, CHUNK_CHANNELS / form.unit));
    super_blocks =
        clamp64(SHARED_INPUT_BYTES / (form.v_block * int64_t(sizeof(T))), 1, form.blocks());
    own_input = filters_private && form.blocks() == 1 &&
                threads * form.v_block * int64_t(sizeof(T)) <= SHARED_INPUT_BYTES;
    const int64_t groups = conv.groups;
    by_groups = own_input && (groups % threads == 0 || groups >= 8 * threads);
    form.stream = filters_private && !own_input &&
                  super_blocks * form.v_block * int64_t(sizeof(T)) > STREAMED_INPUT_BYTES;
    by_parts = filters_private && form.blocks() == super_blocks &&
               form.blocks() * form.m_count(1) * int64_t(sizeof(T)) <= MOST_OUTPUT_BYTES;
  }
  void transform_output(const WinogradBuffers<P>& io, int64_t block, int64_t group, int64_t unit,
                        int64_t count, const T* m, T* scratch) const {
    if (!form.transform_output(io, block, group, unit, count, m, scratch))
      stands.store(false, std::memory_order_relaxed);
  }
  int64_t v_blocks() const { return filters_private && !own_input ? super_blocks : threads; }
  int64_t m_blocks() const { return by_parts ? form.blocks() : 1; }
  int64_t u_count() const { return form.c.groups * form.units * form.u_unit; }
};

template <class P>
struct WinogradArrays {
  using T = SumOf<P>;
  T *v, *u, *m, *scratch, *bias;
  int64_t m_count, scratch_count, bytes;

  template <class Form>
  WinogradArrays(const WinogradSchedule<Form, P>& p, bool transformed_filters, void* base) {
    const Form& form = p.form;
    m_count = round_up(form.m_count(p.chunk), CACHE_LINE) * p.m_blocks();
    scratch_count = round_up(form.scratch_count(), CACHE_LINE);
    Workspace workspace(base);
    v = workspace.take<T>(form.v_block * p.v_blocks());
    u = workspace.take<T>(transformed_filters ? 0
                          : p.by_parts        ? form.u_part * p.threads
                          : p.filters_private ? form.u_unit * p.threads
                                              : p.u_count());
    m = workspace.take<T>(m_count * p.threads);
    scratch = workspace.take<T>(scratch_count * p.threads);
    bias = workspace.take<T>(form.c.groups * form.units * form.unit);
    bytes = workspace.bytes();
  }
};

// The arrays and the clock of one thread, from the start of a job.
template <class P>
struct Own {
  using T = SumOf<P>;
  T *m, *scratch;
  StageClock clock;

  Own(const WinogradArrays<P>& b, WinogradSeconds* seconds, int thread)
      : m(b.m + thread * b.m_count),
        scratch(b.scratch + thread * b.scratch_count),
        clock(seconds, thread) {}
};

}  // namespace fastconv::cpu
