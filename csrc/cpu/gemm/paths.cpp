// GEMM convolution as a path of each direction. Its estimate: cpu/paths/estimate_gemm.cpp. Layer: cpu/gemm.
#include "../../core/dtype.h"
#include "../common/parallel.h"
#include "../common/workspace.h"
#include "../simd/table.h"
#include "apart.h"
#include "gemm.h"
#include "weights.h"

namespace fastconv::cpu {
namespace {

// Extents below this make all offsets and counts fit int64.
WhyNot supports(const Conv2dShape& s) {
  constexpr int64_t MAX_COUNT = int64_t(1) << 40;
  if (s.x_count() == 0 || s.y_count() == 0 || s.w_count() == 0) return "a tensor is empty";
  if (!product_below(MAX_COUNT, s.OC, s.group_IC(), s.KH * s.KW))
    return "there are too many weights";
  return HOLDS;
}
WhyNot supports_backward_input(const Conv2dShape& s) {
  return few_phases(s) ? supports(s) : MANY_PHASES;
}

WhyNot supports_small_map(const Conv2dShape& s) {
  constexpr int64_t MOST_ELEMENTS = 8 << 20;  // x is copied
  constexpr int64_t MOST_PIXELS = 256;        // larger maps fill vectors with their pixels
  if (const WhyNot why = supports_backward_input(s)) return why;
  if (!product_below(MOST_PIXELS + 1, s.IH, s.IW, 1) ||
      !product_below(MOST_PIXELS + 1, s.OH(), s.OW(), 1))
    return "the map has more than 256 pixels";
  const bool few = s.N * max64(s.IC * s.IH * s.IW, s.OC * s.OH() * s.OW()) <= MOST_ELEMENTS;
  return few ? HOLDS : "the maps of the batch have more than 2^23 elements";
}
// The two engines as template arguments.
template <class T>
struct Engine {
  int64_t (*bytes)(const Correlation&, int threads);
  void (*run)(const Correlation&, const T* x, const T* weight, const Epilogue<T>&, T* y,
              void* workspace, int threads);
  bool joins;  // phases of backward_input that may run together do
};
template <class T>
constexpr Engine<T> GEMM{gemm_workspace_bytes<T>, gemm_correlate<T>, true};
template <class T>
constexpr Engine<T> SMALL_MAP{small_map_workspace_bytes<T>, small_map_correlate<T>, false};

template <class T, const Engine<T>& ENGINE>
int64_t forward_bytes(const Conv2dShape& s, const Context& context) {
  return ENGINE.bytes(clipped(forward_correlation(s)).correlation, context.threads);
}
template <class T, const Engine<T>& ENGINE>
bool run_forward(const Conv2dShape& s, const ForwardBuffers<T>& b, void* workspace,
                 const Context& context) {
  const ClippedCorrelation c = clipped(forward_correlation(s));
  ENGINE.run(c.correlation, b.x, b.w + c.weight_offset, b.epilogue, b.y, workspace,
             context.threads);
  return true;
}

template <class T>
void turn_filters(const Conv2dShape& s, const T* w, T* turned, int threads) {
  constexpr int64_t COLUMNS = 256;  // of one job
  const int64_t rows = s.group_OC(), columns = s.terms(), jobs = ceil_div(columns, COLUMNS);
  parallel_jobs(threads_for(s.w_count(), threads), s.groups * jobs, [&](int64_t job, int) {
    const int64_t first = job % jobs * COLUMNS, offset = job / jobs * rows * columns;
    row_kernels<T>(isa()).transpose(rows, min64(COLUMNS, columns - first), w + offset + first,
                                    columns, turned + offset + first * rows, rows);
  });
}

PhaseCorrelation clipped_phase(const Conv2dShape& s, int64_t r_h, int64_t r_w) {
  const PhaseCorrelation p = phase_correlation(s, turned_strides(s), r_h, r_w);
  const ClippedCorrelation c = clipped(p.correlation);
  return {c.correlation, p.weight_offset + c.weight_offset, p.x_offset};
}

// The phases of backward_input, clipped. Two phases of a row that are a pair are one call.
template <class Single, class Pair>
void for_each_call(const Conv2dShape& s, bool pairs, const Single& single, const Pair& pair) {
  for (int64_t r_h = 0; r_h < min64(s.stride_h, s.IH); ++r_h)
    for (int64_t r_w = 0; r_w < min64(s.stride_w, s.IW); ++r_w) {
      const PhaseCorrelation first = clipped_phase(s, r_h, r_w);
      if (pairs && r_w == 0 && s.stride_w == 2 && s.IW > 1) {
        const PhaseCorrelation second = clipped_phase(s, r_h, 1);
        if (gemm_pairs(first.correlation, second.correlation)) {
          pair(first, second);
          break;
        }
      }
      single(first);
    }
}

template <class T>
int64_t turned_bytes(const Conv2dShape& s) {
  return turns_filters(s) ? round_up(s.w_count() * int64_t(sizeof(T)), CACHE_LINE) : 0;
}
template <class T, const Engine<T>& ENGINE>
int64_t backward_input_bytes(const Conv2dShape& s, const Context& context) {
  if (ENGINE.joins && filters_apart(s)) return gemm_apart_workspace_bytes<T>(s, context.threads);
  int64_t bytes = 0;
  for_each_call(
      s, ENGINE.joins,
      [&](const PhaseCorrelation& p) {
        bytes = max64(bytes, ENGINE.bytes(p.correlation, context.threads));
      },
      [&](const PhaseCorrelation& even, const PhaseCorrelation& odd) {
        bytes = max64(bytes, gemm_pair_workspace_bytes<T>(even.correlation, odd.correlation,
                                                          context.threads));
      });
  return bytes + turned_bytes<T>(s);
}
template <class T, const Engine<T>& ENGINE>
bool run_backward_input(const Conv2dShape& s, const BackwardInputBuffers<T>& b, void* workspace,
                        const Context& context) {
  if (ENGINE.joins && filters_apart(s)) {
    gemm_apart(s, b.grad_y, b.w, b.grad_x, workspace, context.threads);
    return true;
  }
  const T* w = b.w;
  if (turns_filters(s)) {
    turn_filters(s, b.w, static_cast<T*>(workspace), context.threads);
    w = static_cast<T*>(workspace);
    workspace = static_cast<char*>(workspace) + turned_bytes<T>(s);
  }
  for_each_call(
      s, ENGINE.joins,
      [&](const PhaseCorrelation& p) {
        ENGINE.run(p.correlation, b.grad_y, w + p.weight_offset, {}, b.grad_x + p.x_offset,
                   workspace, context.threads);
      },
      [&](const PhaseCorrelation& even, const PhaseCorrelation& odd) {
        gemm_correlate_pair<T>({even.correlation, odd.correlation}, b.grad_y,
                               {w + even.weight_offset, w + odd.weight_offset},
                               b.grad_x + even.x_offset, workspace, context.threads);
      });
  return true;
}

template <class T>
int64_t gemm_backward_input_bytes(const Conv2dShape& s, const Context& context) {
  if constexpr (!IS_WIDENED<T>)
    if (has_few_pixels<T>(s)) return few_pixel_input_workspace_bytes<T>(s, context.threads);
  return backward_input_bytes<T, GEMM<T>>(s, context);
}
template <class T>
bool run_gemm_backward_input(const Conv2dShape& s, const BackwardInputBuffers<T>& b,
                             void* workspace, const Context& context) {
  if constexpr (!IS_WIDENED<T>)
    if (has_few_pixels<T>(s)) return few_pixel_input(s, b, workspace, context.threads), true;
  return run_backward_input<T, GEMM<T>>(s, b, workspace, context);
}

}  // namespace

template <class T>
Path<ForwardBuffers<T>> small_map_forward_path() {
  return {"small-map", supports_small_map, always, forward_bytes<T, SMALL_MAP<T>>,
          run_forward<T, SMALL_MAP<T>>};
}
template <class T>
Path<BackwardInputBuffers<T>> small_map_backward_input_path() {
  return {"small-map", supports_small_map, always, backward_input_bytes<T, SMALL_MAP<T>>,
          run_backward_input<T, SMALL_MAP<T>>};
}
template <class T>
Path<ForwardBuffers<T>> gemm_forward_path() {
  return {"gemm", supports, always, forward_bytes<T, GEMM<T>>, run_forward<T, GEMM<T>>};
}
template <class T>
Path<BackwardInputBuffers<T>> gemm_backward_input_path() {
  return {"gemm", supports_backward_input, always, gemm_backward_input_bytes<T>,
          run_gemm_backward_input<T>};
}
template <class T>
Path<BackwardWeightBuffers<T>> gemm_backward_weight_path() {
  return weight_path<T, gemm_weight_workspace_bytes<T>, gemm_weight<T>>("gemm", supports, always);
}

#define INSTANTIATE(T)                                                    \
  template Path<ForwardBuffers<T>> small_map_forward_path();              \
  template Path<BackwardInputBuffers<T>> small_map_backward_input_path(); \
  template Path<ForwardBuffers<T>> gemm_forward_path();                   \
  template Path<BackwardInputBuffers<T>> gemm_backward_input_path();      \
  template Path<BackwardWeightBuffers<T>> gemm_backward_weight_path();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
