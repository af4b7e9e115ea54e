// conv2d forward: its path list. Layer: cpu.
#include "conv2d.h"
#include "direct.h"
#include "reference.h"
#include "winograd.h"

namespace fastconv::cpu {
namespace {

constexpr Correlation correlation(const Conv2dShape& s) {
  return Correlation{s.N,
                     s.groups,
                     s.group_IC(),
                     s.group_OC(),
                     Axis{s.IH, s.OH(), s.stride_h, s.KH, -s.pad_top, s.dilation_h},
                     Axis{s.IW, s.OW(), s.stride_w, s.KW, -s.pad_left, s.dilation_w},
                     s.x_strides(),
                     s.w_strides(),
                     s.y_strides(),
                     s.group_OC() * s.w_strides().n};
}

bool direct_accepts(const Conv2dShape& s) { return correlation_fits(correlation(s)); }

template <class T>
int64_t direct_bytes(const Conv2dShape& s, int threads) {
  return correlate_workspace_bytes<T>(correlation(s), threads);
}

template <class T>
bool direct(const Conv2dShape& s, const ForwardBuffers<T>& b, void* workspace, int threads) {
  correlate(correlation(s), b.x, b.w, b.bias, b.y, workspace, threads);
  return true;
}

template <class T, bool READY_FILTERS>
int64_t winograd_bytes(const Conv2dShape& s, int threads) {
  return winograd_workspace_bytes<T>(winograd_forward(s), threads, READY_FILTERS);
}

template <class T>
bool run_winograd(const Conv2dShape& s, const ForwardBuffers<T>& b, void* workspace, int threads) {
  const WinogradBuffers<T> buffers{b.x, b.w, b.bias, b.y, b.filters};
  return winograd(winograd_forward(s), buffers, workspace, threads);
}

template <class T>
int filter_kind(const Conv2dShape& s) {
  return winograd_filter_kind<T>(winograd_forward(s));
}

template <class T>
int64_t filter_bytes(const Conv2dShape& s) {
  return winograd_filter_bytes<T>(winograd_forward(s));
}

template <class T>
void transform_filters(const Conv2dShape& s, const ForwardBuffers<T>& b, void* filters,
                       void* workspace, int threads) {
  winograd_filters(winograd_forward(s), b.w, static_cast<T*>(filters), workspace, threads);
}

template <class T>
constexpr ReadyFilters<ForwardBuffers<T>> WINOGRAD_FILTERS{
    filter_kind<T>, filter_bytes<T>, winograd_bytes<T, true>, transform_filters<T>};

template <class T>
constexpr Conv2dPath<ForwardBuffers<T>> PATHS[] = {
    {"tiny", is_tiny, accepts_any, no_workspace, reference_forward<T>},
    {"winograd", winograd_runs, winograd_pays, winograd_bytes<T, false>, run_winograd<T>, false,
     &WINOGRAD_FILTERS<T>},
    {"direct", direct_accepts, accepts_any, direct_bytes<T>, direct<T>},
    {"reference", accepts_any, accepts_any, no_workspace, reference_forward<T>},
};

}  // namespace

template <>
Conv2dPaths<ForwardBuffers<float>> conv2d_paths() {
  return {PATHS<float>, 4};
}
template <>
Conv2dPaths<ForwardBuffers<double>> conv2d_paths() {
  return {PATHS<double>, 4};
}

}  // namespace fastconv::cpu
