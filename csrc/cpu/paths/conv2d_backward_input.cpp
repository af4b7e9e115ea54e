// The paths of conv2d backward_input on a CPU. Paths without an estimate come first: they run
// where their conditions hold. Layer: cpu/paths.
#include "../depthwise/depthwise.h"
#include "../dilated/dilated.h"
#include "../direct/direct.h"
#include "../gemm/gemm.h"
#include "../grouped/grouped.h"
#include "../reference/reference.h"
#include "../winograd/winograd.h"
#include "estimates.h"
#include "paths.h"

namespace fastconv::cpu {

template <class T>
Paths<BackwardInputBuffers<T>> conv2d_backward_input_paths() {
  // clang-format off
  static const Path<BackwardInputBuffers<T>> PATHS[] = {
      tiny(reference_backward_input_path<T>()),
      depthwise_backward_input_path<T>(),
      estimated(small_map_backward_input_path<T>(), estimate_small_map<T, Direction::backward_input>),
      estimated(grouped_backward_input_path<T>(), estimate_grouped<T, Direction::backward_input>),
      estimated(dilated_winograd_backward_input_path<T>(), estimate_dilated_winograd<T, Direction::backward_input>),
      estimated(dilated_small_map_backward_input_path<T>(), estimate_dilated_small_map<T, Direction::backward_input>),
      estimated(winograd_backward_input_path<T>(), estimate_winograd<T, Direction::backward_input>),
      estimated(gemm_backward_input_path<T>(), estimate_gemm<T, Direction::backward_input>),
      estimated(direct_backward_input_path<T>(), estimate_direct<T, Direction::backward_input>),
      estimated(reference_backward_input_path<T>(), estimate_reference),
  };
  // clang-format on
  return Paths<BackwardInputBuffers<T>>(PATHS);
}

#define INSTANTIATE(T) template Paths<BackwardInputBuffers<T>> conv2d_backward_input_paths<T>();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
