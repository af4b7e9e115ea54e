// Winograd, backward_weight (arrays: winograd.h). Layer: cpu/winograd, driver.
#include <atomic>

#include "../../core/dtype.h"
#include "../common/parallel.h"
#include "winograd.h"
#include "padding.h"
#include "weight_across_channels.h"
#include "weight_across_tiles.h"
#include "../common/workspace.h"

namespace fastconv::cpu {
namespace {

// V and dM hold one strip of tiles at a time, so that memory does not grow with the batch. The
// sizes of dU and of all tiles choose one of three loop nests.
//
//   by shares   dU leaves room in L2 for V and dM of 64 tiles
//     share          parallel; a share of the strips, with V, dM and dU of its own
//       strip        makes V and dM; dU[xi] += V[xi]^T dM[xi] for all xi
//     filter         parallel; sums dU of all shares; makes grad_w
//
//   by points
//     strip
//       job          parallel; makes some of V or dM. If they are larger than L2: by non-temporal
//                    stores, and among the products of the previous strip, which use less memory
//       xi           parallel; V[xi] stays in L2
//         panel      dU[xi] += V[xi]^T dM[xi]
//     filter         parallel; makes grad_w
//
//   by slabs    all tiles are one strip, and M is MANY_OUTPUTS or more (large filters, small maps)
//     job            parallel; as above
//     slab           parallel; some channels c of one panel: all 36 xi, then grad_w, so that dU
//                    never leaves L2
//
// A sum over 64 tiles is made in registers and added to the sums before it, while a panel of dM
// stays in L1. Long sums are thus sums of shorter ones. The number of shares does not depend on the
// number of threads, so no bit does. grad_bias is summed from the rows of grad_y that the transform
// has gathered.
constexpr int64_t MANY_OUTPUTS = 256;
constexpr int64_t STRIPS_OF_SHARE = 4, MOST_SHARES = 16;
constexpr int64_t MOST_BYTES = int64_t(60) << 20;  // of two strips and dU

// A form (weight_across_*.h) provides
//   strips()                     strips of v_count() elements of V and m_count() elements of dM
//   non_temporal()                whether V and dM are written by non-temporal stores
//   jobs(strip)                  jobs of transform(job), which has scratch_count() elements of
//                                scratch and adds to one of bias_parts() sums of grad_y
//   sum_point(strip, xi, panel)  for SLAB channels at a time
// With small_filters a strip has PART tiles.
template <class Form, class P>
struct WinogradWeightSchedule {
  using T = SumOf<P>;  // of V, dM and dU; x, grad_y and grad_w are stored as P
  Form form;
  bool by_shares, by_slabs;
  FilterGradient<P> filters;
  int threads;
  WinogradSeconds* seconds;
  int64_t shares;                          // 1 unless by_shares
  int64_t strips_held;                     // strips whose V and dM exist at a time
  mutable std::atomic<bool> stands{true};  // whether all gradients so far are valid

  WinogradWeightSchedule(const WinogradConv& conv, int wanted_threads, WinogradSeconds* stages)
      : form(conv),
        by_shares(small_filters<T>(conv)),
        by_slabs(!by_shares && form.strips() == 1 && conv.M >= MANY_OUTPUTS),
        filters(form, by_slabs ? min64(Form::SLAB, conv.C) : conv.C),
        threads(wanted_threads),
        seconds(stages) {
    const int64_t multiple = form.strips() / STRIPS_OF_SHARE / FEW_SHARES * FEW_SHARES;
    shares = by_shares ? clamp64(multiple, FEW_SHARES, MOST_SHARES) : 1;
    strips_held = by_shares ? min64(threads, shares) : overlaps() ? 2 : 1;
  }
  // Returns whether a strip is transformed during the products of the previous one.
  bool overlaps() const {
    const int64_t held = 2 * (form.v_count() + form.m_count()) + u_share();
    return form.non_temporal() && form.strips() > 1 && held * int64_t(sizeof(T)) <= MOST_BYTES;
  }
  void finish(const PanelSums<T>& sums, P* grad_w, int64_t group, int64_t panel, int64_t chunk,
              T* scratch) const {
    if (!filters.finish(sums, grad_w, group, panel, chunk, scratch))
      stands.store(false, std::memory_order_relaxed);
  }
  int64_t u_share() const { return form.panels * filters.u_slab; }
  // Elements of a sum of grad_y, and of a share's parts and their total.
  int64_t bias_width() const { return form.panels * form.panel; }
  int64_t bias_share() const { return (form.bias_parts() + 1) * bias_width(); }
};

template <class P>
struct WinogradWeightArrays {
  using T = SumOf<P>;
  T *v, *m, *u, *scratch, *bias;
  int64_t scratch_count, bytes;

  template <class Form>
  WinogradWeightArrays(const WinogradWeightSchedule<Form, P>& p, void* base) {
    const Form& form = p.form;
    scratch_count = round_up(max64(form.scratch_count(), p.filters.scratch_count()), CACHE_LINE);
    Workspace workspace(base);
    v = workspace.take<T>(form.v_count() * p.strips_held);
    m = workspace.take<T>(form.m_count() * p.strips_held);
    u = workspace.take<T>(p.by_slabs ? p.filters.u_slab * p.threads : p.u_share() * p.shares);
    scratch = workspace.take<T>(scratch_count * p.threads);
    bias = workspace.take<T>(p.bias_share() * p.shares);
    bytes = workspace.bytes();
  }
};

// Adds the parts of a sum of grad_y to their total, and sets them to zero.
template <class Form, class P>
void sum_bias(const WinogradWeightSchedule<Form, P>& p, SumOf<P>* bias) {
  const int64_t width = p.bias_width(), parts = p.form.bias_parts();
  for (int64_t i = 0; i < parts; ++i) p.form.k.add(width, bias + i * width, bias + parts * width);
  std::fill(bias, bias + parts * width, SumOf<P>(0));
}

template <class Form, class P>
void transform_job(const WinogradWeightSchedule<Form, P>& p, const WinogradWeightArrays<P>& b,
                   const BackwardWeightBuffers<P>& io, int64_t strip, int64_t group, int64_t job,
                   int thread) {
  StageClock clock(p.seconds, thread);
  const int64_t held = strip % p.strips_held;
  const WinogradStage stage =
      p.form.transform(io, strip, group, job, b.v + held * p.form.v_count(),
                       b.m + held * p.form.m_count(), b.bias, b.scratch + thread * b.scratch_count);
  p.form.k.wait_for_streams();
  clock.stamp(stage);
}

template <class Form, class P>
void transform_strip(const WinogradWeightSchedule<Form, P>& p, const WinogradWeightArrays<P>& b,
                     const BackwardWeightBuffers<P>& io, int64_t strip, int64_t group) {
  parallel_jobs(p.threads, p.form.jobs(strip), [&](int64_t job, int thread) {
    transform_job(p, b, io, strip, group, job, thread);
  });
  sum_bias(p, b.bias);
}

template <class Form, class P>
void sum_by_points(const WinogradWeightSchedule<Form, P>& p, const WinogradWeightArrays<P>& b,
                   const BackwardWeightBuffers<P>& io, int64_t group) {
  const Form& form = p.form;
  for (int64_t strip = 0; strip < form.strips(); ++strip) {
    const int64_t held = strip % p.strips_held;
    const SumOf<P>*v = b.v + held * form.v_count(), *m = b.m + held * form.m_count();
    if (strip == 0 || p.strips_held == 1) transform_strip(p, b, io, strip, group);
    // The transforms of the next strip are spread evenly among the products.
    const bool more = p.strips_held == 2 && strip + 1 < form.strips();
    const int64_t jobs = POINT_COUNT + (more ? form.jobs(strip + 1) : 0);
    parallel_jobs(p.threads, jobs, [&](int64_t job, int thread) {
      const int64_t xi = job * POINT_COUNT / jobs;
      if ((job + 1) * POINT_COUNT / jobs == xi)
        return transform_job(p, b, io, strip + 1, group, job - xi, thread);
      StageClock clock(p.seconds, thread);
      for (int64_t panel = 0; panel < form.panels; ++panel)
        form.sum_point(v, m, strip, xi, panel,
                       p.filters.sums(b.u + panel * p.filters.u_slab, 0, strip > 0));
      clock.stamp(PRODUCT);
    });
    if (more) sum_bias(p, b.bias);
  }
}

template <class Form, class P>
void sum_by_shares(const WinogradWeightSchedule<Form, P>& p, const WinogradWeightArrays<P>& b,
                   const BackwardWeightBuffers<P>& io, int64_t group) {
  const Form& form = p.form;
  parallel_jobs(p.threads, p.shares, [&](int64_t share, int thread) {
    StageClock clock(p.seconds, thread);
    SumOf<P>* v = b.v + thread * form.v_count();
    SumOf<P>* m = b.m + thread * form.m_count();
    SumOf<P>* u = b.u + share * p.u_share();
    SumOf<P>* bias = b.bias + share * p.bias_share();
    const int64_t begin = share * form.strips() / p.shares,
                  end = (share + 1) * form.strips() / p.shares;
    for (int64_t strip = begin; strip < end; ++strip) {
      for (int64_t job = 0; job < form.jobs(strip); ++job)
        clock.stamp(form.transform(io, strip, group, job, v, m, bias,
                                   b.scratch + thread * b.scratch_count));
      sum_bias(p, bias);
      for (int64_t xi = 0; xi < POINT_COUNT; ++xi)
        for (int64_t panel = 0; panel < form.panels; ++panel)
          form.sum_point(v, m, strip, xi, panel,
                         p.filters.sums(u + panel * p.filters.u_slab, 0, strip > begin));
      clock.stamp(PRODUCT);
    }
  });
}

template <class Form, class P>
void finish_filters(const WinogradWeightSchedule<Form, P>& p, const WinogradWeightArrays<P>& b,
                    const BackwardWeightBuffers<P>& io, int64_t group) {
  const int64_t chunks = p.filters.chunks(p.filters.sums(b.u, 0, false));
  parallel_jobs(p.threads, p.form.panels * chunks, [&](int64_t job, int thread) {
    StageClock clock(p.seconds, thread);
    const int64_t panel = job / chunks, chunk = job % chunks;
    SumOf<P>* u = b.u + panel * p.filters.u_slab;
    p.filters.sum_shares(u, p.u_share(), p.shares, chunk);
    p.finish(p.filters.sums(u, 0, false), io.grad_w, group, panel, chunk,
             b.scratch + thread * b.scratch_count);
    clock.stamp(FILTER_TRANSFORM);
  });
}

template <class Form, class P>
void run_by_slabs(const WinogradWeightSchedule<Form, P>& p, const WinogradWeightArrays<P>& b,
                  const BackwardWeightBuffers<P>& io, int64_t group) {
  const int64_t panels = p.form.panels;
  transform_strip(p, b, io, 0, group);
  parallel_jobs(p.threads, p.filters.slabs() * panels, [&](int64_t job, int thread) {
    StageClock clock(p.seconds, thread);
    const int64_t panel = job % panels;
    const PanelSums<SumOf<P>> sums =
        p.filters.sums(b.u + thread * p.filters.u_slab, job / panels, false);
    for (int64_t xi = 0; xi < POINT_COUNT; ++xi) p.form.sum_point(b.v, b.m, 0, xi, panel, sums);
    clock.stamp(PRODUCT);
    for (int64_t chunk = 0; chunk < p.filters.chunks(sums); ++chunk)
      p.finish(sums, io.grad_w, group, panel, chunk, b.scratch + thread * b.scratch_count);
    clock.stamp(FILTER_TRANSFORM);
  });
}

template <class Form, class P>
void run_group(const WinogradWeightSchedule<Form, P>& p, const WinogradWeightArrays<P>& b,
               const BackwardWeightBuffers<P>& io, int64_t group) {
  std::fill(b.bias, b.bias + p.bias_share() * p.shares, SumOf<P>(0));
  if (p.by_slabs) {
    run_by_slabs(p, b, io, group);
  } else {
    p.by_shares ? sum_by_shares(p, b, io, group) : sum_by_points(p, b, io, group);
    finish_filters(p, b, io, group);
  }
  SumOf<P>* total = b.bias + p.form.bias_parts() * p.bias_width();
  for (int64_t share = 1; share < p.shares; ++share)
    p.form.k.add(p.bias_width(), total + share * p.bias_share(), total);
  if (io.grad_bias) std::copy(total, total + p.form.c.M, io.grad_bias + group * p.form.c.M);
}

// Sets the gradient of taps that see only padding to zero.
template <class T>
void fill_unseen(const WinogradConv& c, T* grad_w) {
  const Unseen unseen{c.K, c.K, seeing(c.K, c.OH, c.top, c.IH), seeing(c.K, c.OW, c.left, c.IW)};
  if (unseen.none()) return;
  for (int64_t filter = 0; filter < c.groups * c.M * c.C; ++filter) {
    const int64_t group = filter / (c.M * c.C), m = filter / c.C % c.M, channel = filter % c.C;
    T* w = grad_w + group * c.w_group + m * c.w.n + channel * c.w.c;
    unseen.for_each([&](int64_t kh, int64_t kw) { w[kh * c.w.h + kw * c.w.w] = T(0); });
  }
}

// Calls f(plan) with the form that supports `conv`.
template <class T, class F>
auto with_plan(const WinogradConv& conv, int threads, WinogradSeconds* seconds, const F& f) {
  if (WeightAcrossTiles<T>::supports(conv))
    return f(WinogradWeightSchedule<WeightAcrossTiles<T>, T>(conv, threads, seconds));
  return f(WinogradWeightSchedule<WeightAcrossChannels<T>, T>(conv, threads, seconds));
}

}  // namespace

template <class T>
int64_t winograd_weight_workspace_bytes(const WinogradConv& conv, int threads) {
  return with_plan<T>(conv, threads, nullptr, [](const auto& plan) {
    return WinogradWeightArrays<T>(plan, nullptr).bytes;
  });
}

template <class T>
bool winograd_weight(const WinogradConv& conv, const BackwardWeightBuffers<T>& buffers,
                     void* workspace, int threads, WinogradSeconds* seconds) {
  return with_plan<T>(conv, threads, seconds, [&](const auto& plan) {
    const WinogradWeightArrays<T> b(plan, workspace);
    for (int64_t group = 0; group < conv.groups; ++group) run_group(plan, b, buffers, group);
    fill_unseen(conv, buffers.grad_w);
    return plan.stands.load();
  });
}

#define INSTANTIATE(T)                                                                            \
  template int64_t winograd_weight_workspace_bytes<T>(const WinogradConv&, int);                  \
  template bool winograd_weight(const WinogradConv&, const BackwardWeightBuffers<T>&, void*, int, \
                                WinogradSeconds*);
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
