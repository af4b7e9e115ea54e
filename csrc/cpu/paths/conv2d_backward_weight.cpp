// The paths of conv2d backward_weight on a CPU. Paths without an estimate come first: they run
// where their conditions hold. Layer: cpu/paths.
#include "../depthwise/depthwise.h"
#include "../direct/direct.h"
#include "../gemm/gemm.h"
#include "../grouped/grouped.h"
#include "../reference/reference.h"
#include "../winograd/winograd.h"
#include "estimates.h"
#include "paths.h"

namespace fastconv::cpu {

template <class T>
Paths<BackwardWeightBuffers<T>> conv2d_backward_weight_paths() {
  // clang-format off
  static const Path<BackwardWeightBuffers<T>> PATHS[] = {
      tiny(reference_backward_weight_path<T>()),
      depthwise_backward_weight_path<T>(),
      estimated(grouped_backward_weight_path<T>(), estimate_grouped<T, Direction::backward_weight>),
      estimated(winograd_backward_weight_path<T>(), estimate_winograd<T, Direction::backward_weight>),
      estimated(gemm_backward_weight_path<T>(), estimate_gemm<T, Direction::backward_weight>),
      estimated(direct_backward_weight_path<T>(), estimate_direct<T, Direction::backward_weight>),
      estimated(reference_backward_weight_path<T>(), estimate_reference),
  };
  // clang-format on
  return Paths<BackwardWeightBuffers<T>>(PATHS);
}

#define INSTANTIATE(T) template Paths<BackwardWeightBuffers<T>> conv2d_backward_weight_paths<T>();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
