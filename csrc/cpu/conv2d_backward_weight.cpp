// conv2d backward_weight: its path list. Layer: cpu.
#include "conv2d.h"
#include "direct.h"
#include "reference.h"
#include "winograd.h"

namespace fastconv::cpu {
namespace {

template <class T>
int64_t winograd_bytes(const Conv2dShape& s, int threads) {
  return winograd_weight_workspace_bytes<T>(winograd_forward(s), threads);
}

template <class T>
bool run_winograd(const Conv2dShape& s, const BackwardWeightBuffers<T>& b, void* workspace,
                  int threads) {
  return winograd_weight(winograd_forward(s), b, workspace, threads);
}

template <class T>
constexpr Conv2dPath<BackwardWeightBuffers<T>> PATHS[] = {
    {"tiny", is_tiny, accepts_any, no_workspace, reference_backward_weight<T>},
    {"winograd", winograd_runs, winograd_weight_pays, winograd_bytes<T>, run_winograd<T>, false},
    {"direct", direct_weight_fits, accepts_any, direct_weight_workspace_bytes<T>, direct_weight<T>},
    {"reference", accepts_any, accepts_any, no_workspace, reference_backward_weight<T>},
};

}  // namespace

template <>
Conv2dPaths<BackwardWeightBuffers<float>> conv2d_paths() {
  return {PATHS<float>, 4};
}
template <>
Conv2dPaths<BackwardWeightBuffers<double>> conv2d_paths() {
  return {PATHS<double>, 4};
}

}  // namespace fastconv::cpu
