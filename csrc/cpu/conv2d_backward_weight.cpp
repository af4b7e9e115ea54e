// conv2d backward_weight: its path list. Layer: cpu.
#include "conv2d.h"
#include "direct.h"
#include "reference.h"

namespace fastconv::cpu {
namespace {

template <class T>
constexpr Conv2dPath<BackwardWeightBuffers<T>> PATHS[] = {
    {"tiny", is_tiny, no_workspace, reference_backward_weight<T>},
    {"direct", direct_weight_fits, direct_weight_workspace_bytes<T>, direct_weight<T>},
    {"reference", accepts_any, no_workspace, reference_backward_weight<T>},
};

}  // namespace

template <>
Conv2dPaths<BackwardWeightBuffers<float>> conv2d_paths() {
  return {PATHS<float>, 3};
}
template <>
Conv2dPaths<BackwardWeightBuffers<double>> conv2d_paths() {
  return {PATHS<double>, 3};
}

}  // namespace fastconv::cpu
