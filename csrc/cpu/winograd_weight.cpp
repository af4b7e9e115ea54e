// Winograd, backward_weight (arrays: winograd.h). Layer: cpu, driver.
//
//   strip          of tiles, so that memory does not grow with the batch
//     job          parallel; some of x or grad_y to points
//     xi           parallel; V[xi] stays in L2
//       panel      dU[xi] += V[xi]^T dM[xi]
//         t        64 at a time: a panel of dM stays in L1 while the channels pass by
//   filter         parallel; points to taps
// Where all tiles fit one strip (large filters, small maps) a panel goes through all 36 xi and to
// its taps in one job, so that dU never leaves L2.
// A sum over 64 tiles is made in registers and added to those before: long sums are sums of shorter
// ones, and no bit depends on the number of threads. grad_bias is summed from the rows of grad_y that
// the transform has gathered.
#include "parallel.h"
#include "winograd.h"
#include "winograd_weight_across_channels.h"
#include "winograd_weight_across_tiles.h"
#include "workspace.h"

namespace fastconv::cpu {
namespace {

constexpr int64_t MANY_PANELS = 8;

// What a form (winograd_weight_across_*.h) provides: strips(), of which v_count() and m_count()
// elements are there; jobs(strip), of which transform(job) does one, with scratch_count(), and
// adds to one of bias_parts() sums of grad_y; and sum_point(strip, xi, panel).
template <class Form, class T>
struct Plan {
  Form form;
  FilterGradient<T> filters;
  int threads;
  WinogradSeconds* seconds;

  Plan(const WinogradConv& conv, int wanted_threads, WinogradSeconds* phases)
      : form(conv), filters(form), threads(wanted_threads), seconds(phases) {}
  // Panels enough to share, each with all tiles.
  bool by_panels() const { return form.strips() == 1 && form.panels >= MANY_PANELS; }
};

template <class T>
struct Buffers {
  T *v, *m, *u, *scratch, *bias;
  int64_t scratch_count, bytes;

  template <class Form>
  Buffers(const Plan<Form, T>& p, void* base) {
    const Form& form = p.form;
    scratch_count = round_up(max64(form.scratch_count(), p.filters.scratch_count()), CACHE_LINE);
    Workspace workspace(base);
    v = workspace.take<T>(form.v_count());
    m = workspace.take<T>(form.m_count());
    u = workspace.take<T>((p.by_panels() ? p.threads : form.panels) * p.filters.u_panel);
    scratch = workspace.take<T>(scratch_count * p.threads);
    bias = workspace.take<T>((form.bias_parts() + 1) * form.panels * form.panel);  // and all
    bytes = workspace.bytes();
  }
};

template <class Form, class T>
void transform_strip(const Plan<Form, T>& p, const Buffers<T>& b,
                     const BackwardWeightBuffers<T>& io, int64_t strip, int64_t group) {
  const int64_t width = p.form.panels * p.form.panel, parts = p.form.bias_parts();
  std::fill(b.bias, b.bias + parts * width, T(0));
  parallel_jobs(p.threads, p.form.jobs(strip), [&](int64_t job, int thread) {
    PhaseClock clock(p.seconds, thread);
    clock.stamp(p.form.transform(io, strip, group, job, b.v, b.m, b.bias,
                                 b.scratch + thread * b.scratch_count));
  });
  for (int64_t i = 0; i < parts; ++i)
    p.form.k.add(width, b.bias + i * width, b.bias + parts * width);
}

template <class Form, class T>
void run_group(const Plan<Form, T>& p, const Buffers<T>& b, const BackwardWeightBuffers<T>& io,
               int64_t group) {
  const Form& form = p.form;
  const FilterGradient<T>& filters = p.filters;
  T* total = b.bias + form.bias_parts() * form.panels * form.panel;
  std::fill(total, total + form.panels * form.panel, T(0));
  for (int64_t strip = 0; strip < form.strips(); ++strip) {
    transform_strip(p, b, io, strip, group);
    if (p.by_panels()) break;
    parallel_jobs(p.threads, POINT_COUNT, [&](int64_t xi, int thread) {
      PhaseClock clock(p.seconds, thread);
      for (int64_t panel = 0; panel < form.panels; ++panel)
        form.sum_point(b.v, b.m, strip, xi, panel, b.u + panel * filters.u_panel, filters.u_point);
      clock.stamp(PRODUCT);
    });
  }
  if (p.by_panels())
    parallel_jobs(p.threads, form.panels, [&](int64_t panel, int thread) {
      PhaseClock clock(p.seconds, thread);
      T* u = b.u + thread * filters.u_panel;
      for (int64_t xi = 0; xi < POINT_COUNT; ++xi)
        form.sum_point(b.v, b.m, 0, xi, panel, u, filters.u_point);
      clock.stamp(PRODUCT);
      for (int64_t chunk = 0; chunk < filters.chunks(); ++chunk)
        filters.finish(u, io.grad_w, group, panel, chunk, b.scratch + thread * b.scratch_count);
      clock.stamp(FILTER_TRANSFORM);
    });
  else
    parallel_jobs(p.threads, form.panels * filters.chunks(), [&](int64_t job, int thread) {
      PhaseClock clock(p.seconds, thread);
      const int64_t panel = job / filters.chunks();
      filters.finish(b.u + panel * filters.u_panel, io.grad_w, group, panel, job % filters.chunks(),
                     b.scratch + thread * b.scratch_count);
      clock.stamp(FILTER_TRANSFORM);
    });
  if (io.grad_bias) std::copy(total, total + form.c.M, io.grad_bias + group * form.c.M);
}

// f(plan) with the form that suits `conv`.
template <class T, class F>
auto with_plan(const WinogradConv& conv, int threads, WinogradSeconds* seconds, const F& f) {
  if (WeightAcrossTiles<T>::takes(conv))
    return f(Plan<WeightAcrossTiles<T>, T>(conv, threads, seconds));
  return f(Plan<WeightAcrossChannels<T>, T>(conv, threads, seconds));
}

}  // namespace

template <class T>
int64_t winograd_weight_workspace_bytes(const WinogradConv& conv, int threads) {
  return with_plan<T>(conv, threads, nullptr,
                      [](const auto& plan) { return Buffers<T>(plan, nullptr).bytes; });
}

template <class T>
void winograd_weight(const WinogradConv& conv, const BackwardWeightBuffers<T>& buffers,
                     void* workspace, int threads, WinogradSeconds* seconds) {
  with_plan<T>(conv, threads, seconds, [&](const auto& plan) {
    const Buffers<T> b(plan, workspace);
    for (int64_t group = 0; group < conv.groups; ++group) run_group(plan, b, buffers, group);
  });
}

#define INSTANTIATE(T)                                                                            \
  template int64_t winograd_weight_workspace_bytes<T>(const WinogradConv&, int);                  \
  template void winograd_weight(const WinogradConv&, const BackwardWeightBuffers<T>&, void*, int, \
                                WinogradSeconds*);
INSTANTIATE(float)
INSTANTIATE(double)

}  // namespace fastconv::cpu
