// Winograd, forward and backward_input (arrays: winograd.h; loop nests: schedule.h). Layer:
// cpu/winograd, driver.
#include "../../core/dtype.h"
#include "winograd.h"

#include "../common/finish.h"
#include "../common/parallel.h"
#include "across_channels.h"
#include "across_tiles.h"
#include "padding.h"
#include "schedule.h"

namespace fastconv::cpu {
namespace {

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

// Multiplies V of a block by `count` units of U and writes their outputs. io.padded_bias is
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
  if (!io.transformed_filters) transform_all_filters(p, b, io.w, b.u);
  const SumOf<P>* u = io.transformed_filters ? io.transformed_filters : b.u;
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

// Makes U of one unit in the room of a thread, and runs it.
template <class Form, class P>
void run_private_unit(const WinogradSchedule<Form, P>& p, const WinogradArrays<P>& b,
                      const WinogradBuffers<P>& io, int64_t group, int64_t unit, int64_t first,
                      int64_t blocks, const SumOf<P>* v, int thread, Own<P>& own) {
  SumOf<P>* u = b.u + thread * (p.by_parts ? p.form.u_part : p.form.u_unit);
  if (p.by_parts)
    run_unit_by_parts(p, io, group, unit, v, u, own);
  else
    run_unit(p, io, group, unit, first, blocks, v, u, own);
}

template <class Form, class P>
void run_groups(const WinogradSchedule<Form, P>& p, const WinogradArrays<P>& b,
                const WinogradBuffers<P>& io) {
  const Form& form = p.form;
  parallel_jobs(p.threads, form.c.groups, [&](int64_t group, int thread) {
    Own<P> own(b, p.seconds, thread);
    SumOf<P>* v = b.v + thread * form.v_block;
    form.transform_input(io.x, 0, group, v, own.scratch);
    own.clock.stamp(INPUT_TRANSFORM);
    for (int64_t unit = 0; unit < form.units; ++unit)
      run_private_unit(p, b, io, group, unit, 0, 1, v, thread, own);
  });
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
        run_private_unit(p, b, io, group, unit, first, blocks, v, thread, own);
      });
    }
}

// Sets the outputs that see only padding to what the epilogue makes of 0.
template <class T>
void fill_unseen(const WinogradConv& c, const WinogradBuffers<T>& io, int threads) {
  const Unseen unseen{c.OH, c.OW, seeing(c.OH, c.K, c.top, c.IH), seeing(c.OW, c.K, c.left, c.IW)};
  if (unseen.none()) return;
  const Finishing<T> finishing(io.epilogue, io.y);
  const int64_t channels = c.groups * c.M;
  parallel_jobs(threads, c.N * channels, [&](int64_t job, int) {
    const int64_t n = job / channels, channel = job % channels;
    T* y = io.y + n * c.y.n + channel * c.y.c;
    const SumOf<T> sum = io.epilogue.bias ? SumOf<T>(io.epilogue.bias[channel]) : 0;
    unseen.for_each([&](int64_t oh, int64_t ow) {
      T* at = y + oh * c.y.h + ow * c.y.w;
      *at = finishing.element(sum, at);
    });
  });
}

// Calls f(plan) with the form that supports `conv`.
template <class T, class F>
auto with_plan(const WinogradConv& conv, int threads, WinogradSeconds* seconds, const F& f) {
  if (AcrossTiles<T>::supports(conv))
    return f(WinogradSchedule<AcrossTiles<T>, T>(conv, threads, seconds));
  return f(WinogradSchedule<AcrossChannels<T>, T>(conv, threads, seconds));
}

}  // namespace

template <class T>
int64_t winograd_workspace_bytes(const WinogradConv& conv, int threads, bool transformed_filters) {
  return with_plan<T>(conv, threads, nullptr, [&](const auto& plan) {
    return WinogradArrays<T>(plan, transformed_filters, nullptr).bytes;
  });
}

template <class T>
bool winograd(const WinogradConv& conv, const WinogradBuffers<T>& buffers, void* workspace,
              int threads, WinogradSeconds* seconds) {
  return with_plan<T>(conv, threads, seconds, [&](const auto& plan) {
    const WinogradArrays<T> b(plan, buffers.transformed_filters != nullptr, workspace);
    WinogradBuffers<T> io = buffers;
    if (const T* bias = io.epilogue.bias) {
      io.padded_bias = b.bias;
      const int64_t channels = plan.form.units * plan.form.unit;
      for (int64_t group = 0; group < conv.groups; ++group) {
        SumOf<T>* padded = b.bias + group * channels;
        std::fill(padded, padded + channels, SumOf<T>(0));
        std::copy(bias + group * conv.M, bias + (group + 1) * conv.M, padded);
      }
    }
    if (plan.by_groups)
      run_groups(plan, b, io);
    else if (plan.filters_private)
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
  return AcrossTiles<T>::supports(conv);
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
