// Winograd, forward and backward_input (arrays: winograd.h). Layer: cpu/winograd, driver.
#include "../../core/dtype.h"
#include "winograd.h"

#include <atomic>

#include "../common/parallel.h"
#include "across_channels.h"
#include "across_tiles.h"
#include "padding.h"
#include "../common/workspace.h"

namespace fastconv::cpu {
namespace {

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
constexpr int64_t FEW_BLOCKS = 4;

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
  bool by_parts;         // M of all blocks stays in L2, and only a part of U exists at a time
  mutable std::atomic<bool> stands{true};  // whether all outputs so far are valid

  WinogradSchedule(const WinogradConv& conv, int wanted_threads, WinogradSeconds* phases)
      : form(conv), threads(wanted_threads), seconds(phases) {
    filters_private = form.units * form.u_unit * int64_t(sizeof(T)) > SHARED_FILTER_BYTES ||
                      (form.blocks() < FEW_BLOCKS && form.blocks() <= form.units);
    chunk = filters_private ? 1 : min64(form.units, max64(1, CHUNK_CHANNELS / form.unit));
    super_blocks =
        clamp64(SHARED_INPUT_BYTES / (form.v_block * int64_t(sizeof(T))), 1, form.blocks());
    own_input = filters_private && form.blocks() == 1 &&
                threads * form.v_block * int64_t(sizeof(T)) <= SHARED_INPUT_BYTES;
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
  WinogradArrays(const WinogradSchedule<Form, P>& p, bool ready_filters, void* base) {
    const Form& form = p.form;
    m_count = round_up(form.m_count(p.chunk), CACHE_LINE) * p.m_blocks();
    scratch_count = round_up(form.scratch_count(), CACHE_LINE);
    Workspace workspace(base);
    v = workspace.take<T>(form.v_block * p.v_blocks());
    u = workspace.take<T>(ready_filters       ? 0
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
  SumOf<P>*m, *scratch;
  PhaseClock clock;

  Own(const WinogradArrays<P>& b, WinogradSeconds* seconds, int thread)
      : m(b.m + thread * b.m_count),
        scratch(b.scratch + thread * b.scratch_count),
        clock(seconds, thread) {}
};

// Makes U of one unit, part by part.
template <class Form, class P>
void transform_filters(const WinogradSchedule<Form, P>& p, const P* w, int64_t group, int64_t unit,
                       SumOf<P>* u, Own<P>& own) {
  for (int64_t part = 0; part < p.form.parts; ++part)
    p.form.transform_filters(w, group, unit, part, u + part * p.form.u_part, own.scratch);
  own.clock.stamp(FILTER_TRANSFORM);
}

template <class Form, class P>
void transform_all_filters(const WinogradSchedule<Form, P>& p, const WinogradArrays<P>& b,
                           const P* w, SumOf<P>* u) {
  const int64_t units = p.form.units;
  parallel_jobs(p.threads, p.form.c.groups * units, [&](int64_t job, int thread) {
    Own<P> own(b, p.seconds, thread);
    transform_filters(p, w, job / units, job % units, u + job * p.form.u_unit, own);
  });
}

// Multiplies V of a block by `count` units of U and writes their outputs. io.bias is
// [group][units * unit], or null.
template <class Form, class P>
void multiply_block(const WinogradSchedule<Form, P>& p, const WinogradBuffers<P>& io, int64_t block,
                    int64_t group, const SumOf<P>* v, const SumOf<P>* u, int64_t unit,
                    int64_t count, Own<P>& own) {
  p.form.multiply(block, v, u, unit, count, 0, p.form.parts, own.m);
  own.clock.stamp(PRODUCT);
  p.transform_output(io, block, group, unit, count, own.m, own.scratch);
  own.clock.stamp(OUTPUT_TRANSFORM);
}

template <class Form, class P>
void run_shared(const WinogradSchedule<Form, P>& p, const WinogradArrays<P>& b,
                const WinogradBuffers<P>& io) {
  const Form& form = p.form;
  const int64_t blocks = form.blocks();
  if (!io.filters) transform_all_filters(p, b, io.w, b.u);
  const SumOf<P>* u = io.filters ? io.filters : b.u;
  parallel_jobs(p.threads, form.c.groups * blocks, [&](int64_t job, int thread) {
    Own<P> own(b, p.seconds, thread);
    const int64_t group = job / blocks, block = job % blocks;
    SumOf<P>* v = b.v + thread * form.v_block;
    form.transform_input(io.x, block, group, v, own.scratch);
    own.clock.stamp(INPUT_TRANSFORM);
    for (int64_t unit = 0; unit < form.units; unit += p.chunk)
      multiply_block(p, io, block, group, v, u + (group * form.units + unit) * form.u_unit, unit,
                     min64(p.chunk, form.units - unit), own);
  });
}

// Runs one unit with `blocks` blocks, whose V is at v.
template <class Form, class P>
void run_unit(const WinogradSchedule<Form, P>& p, const WinogradBuffers<P>& io, int64_t group,
              int64_t unit, int64_t first, int64_t blocks, const SumOf<P>* v, SumOf<P>* u,
              Own<P>& own) {
  const Form& form = p.form;
  transform_filters(p, io.w, group, unit, u, own);
  for (int64_t i = 0; i < blocks; ++i)
    multiply_block(p, io, first + i, group, v + i * form.v_block, u, unit, int64_t(1), own);
}

template <class Form, class P>
void run_unit_by_parts(const WinogradSchedule<Form, P>& p, const WinogradBuffers<P>& io,
                       int64_t group, int64_t unit, const SumOf<P>* v, SumOf<P>* u, Own<P>& own) {
  const Form& form = p.form;
  const int64_t m_count = form.m_count(1);
  for (int64_t part = 0; part < form.parts; ++part) {
    form.transform_filters(io.w, group, unit, part, u, own.scratch);
    own.clock.stamp(FILTER_TRANSFORM);
    for (int64_t i = 0; i < form.blocks(); ++i)
      form.multiply(i, v + i * form.v_block, u, unit, 1, part, part + 1, own.m + i * m_count);
    own.clock.stamp(PRODUCT);
  }
  for (int64_t i = 0; i < form.blocks(); ++i)
    p.transform_output(io, i, group, unit, 1, own.m + i * m_count, own.scratch);
  own.clock.stamp(OUTPUT_TRANSFORM);
}

template <class Form, class P>
void run_private(const WinogradSchedule<Form, P>& p, const WinogradArrays<P>& b,
                 const WinogradBuffers<P>& io) {
  const Form& form = p.form;
  for (int64_t group = 0; group < form.c.groups; ++group)
    for (int64_t first = 0; first < form.blocks(); first += p.super_blocks) {
      const int64_t blocks = min64(p.super_blocks, form.blocks() - first);
      parallel_jobs(p.threads, p.own_input ? p.threads : blocks, [&](int64_t job, int thread) {
        Own<P> own(b, p.seconds, thread);
        form.transform_input(io.x, first + job % blocks, group, b.v + job * form.v_block,
                             own.scratch);
        form.k.wait_for_streams();
        own.clock.stamp(INPUT_TRANSFORM);
      });
      parallel_jobs(p.threads, form.units, [&](int64_t unit, int thread) {
        Own<P> own(b, p.seconds, thread);
        const SumOf<P>* v = b.v + (p.own_input ? thread * form.v_block : 0);
        SumOf<P>* u = b.u + thread * (p.by_parts ? form.u_part : form.u_unit);
        if (p.by_parts)
          run_unit_by_parts(p, io, group, unit, v, u, own);
        else
          run_unit(p, io, group, unit, first, blocks, v, u, own);
      });
    }
}

// Sets the outputs that see only padding to the bias.
template <class T>
void fill_unseen(const WinogradConv& c, const WinogradBuffers<T>& io, int threads) {
  const Unseen unseen{c.OH, c.OW, seeing(c.OH, c.K, c.top, c.IH), seeing(c.OW, c.K, c.left, c.IW)};
  if (unseen.none()) return;
  const int64_t channels = c.groups * c.M;
  parallel_jobs(threads, c.N * channels, [&](int64_t job, int) {
    const int64_t n = job / channels, channel = job % channels;
    T* y = io.y + n * c.y.n + channel * c.y.c;
    unseen.for_each([&](int64_t oh, int64_t ow) {
      y[oh * c.y.h + ow * c.y.w] = io.bias ? io.bias[channel] : T(0);
    });
  });
}

// Calls f(plan) with the form that supports `conv`.
template <class T, class F>
auto with_plan(const WinogradConv& conv, int threads, WinogradSeconds* seconds, const F& f) {
  if (AcrossTiles<T>::takes(conv))
    return f(WinogradSchedule<AcrossTiles<T>, T>(conv, threads, seconds));
  return f(WinogradSchedule<AcrossChannels<T>, T>(conv, threads, seconds));
}

}  // namespace

template <class T>
int64_t winograd_workspace_bytes(const WinogradConv& conv, int threads, bool ready_filters) {
  return with_plan<T>(conv, threads, nullptr, [&](const auto& plan) {
    return WinogradArrays<T>(plan, ready_filters, nullptr).bytes;
  });
}

template <class T>
bool winograd(const WinogradConv& conv, const WinogradBuffers<T>& buffers, void* workspace,
              int threads, WinogradSeconds* seconds) {
  return with_plan<T>(conv, threads, seconds, [&](const auto& plan) {
    const WinogradArrays<T> b(plan, buffers.filters != nullptr, workspace);
    WinogradBuffers<T> io = buffers;
    if (io.bias) {
      io.padded_bias = b.bias;
      const int64_t channels = plan.form.units * plan.form.unit;
      for (int64_t group = 0; group < conv.groups; ++group) {
        SumOf<T>* padded = b.bias + group * channels;
        std::fill(padded, padded + channels, SumOf<T>(0));
        std::copy(buffers.bias + group * conv.M, buffers.bias + (group + 1) * conv.M, padded);
      }
    }
    if (plan.filters_private)
      run_private(plan, b, io);
    else
      run_shared(plan, b, io);
    fill_unseen(conv, buffers, threads);
    return plan.stands.load();
  });
}

template <class T>
int64_t winograd_filter_bytes(const WinogradConv& conv) {
  return with_plan<T>(conv, 1, nullptr, [](const auto& plan) {
    return plan.filters_private ? 0 : plan.u_count() * int64_t(sizeof(SumOf<T>));
  });
}

template <class T>
int winograd_filter_kind(const WinogradConv& conv) {
  return AcrossTiles<T>::takes(conv);
}

template <class T>
void winograd_filters(const WinogradConv& conv, const T* w, SumOf<T>* filters, void* workspace,
                      int threads) {
  with_plan<T>(conv, threads, nullptr, [&](const auto& plan) {
    transform_all_filters(plan, WinogradArrays<T>(plan, true, workspace), w, filters);
  });
}

#define INSTANTIATE(T)                                                                  \
  template int64_t winograd_workspace_bytes<T>(const WinogradConv&, int, bool);         \
  template int64_t winograd_filter_bytes<T>(const WinogradConv&);                       \
  template int winograd_filter_kind<T>(const WinogradConv&);                            \
  template void winograd_filters(const WinogradConv&, const T*, SumOf<T>*, void*, int); \
  template bool winograd(const WinogradConv&, const WinogradBuffers<T>&, void*, int,    \
                         WinogradSeconds*);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
