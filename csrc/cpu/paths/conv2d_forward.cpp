// The paths of conv2d forward on a CPU. Paths without an estimate come first: they run
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
Paths<ForwardBuffers<T>> conv2d_forward_paths() {
  // clang-format off
  static const Path<ForwardBuffers<T>> PATHS[] = {
      tiny(reference_forward_path<T>()),
      depthwise_forward_path<T>(),
      estimated(small_map_forward_path<T>(), estimate_small_map<T, Direction::forward>),
      estimated(grouped_forward_path<T>(), estimate_grouped<T, Direction::forward>),
      estimated(dilated_winograd_forward_path<T>(), estimate_dilated_winograd<T, Direction::forward>),
      estimated(dilated_small_map_forward_path<T>(), estimate_dilated_small_map<T, Direction::forward>),
      estimated(winograd_forward_path<T>(), estimate_winograd<T, Direction::forward>),
      estimated(gemm_forward_path<T>(), estimate_gemm<T, Direction::forward>),
      estimated(direct_forward_path<T>(), estimate_direct<T, Direction::forward>),
      estimated(reference_forward_path<T>(), estimate_reference),
  };
  // clang-format on
  return Paths<ForwardBuffers<T>>(PATHS);
}

#define INSTANTIATE(T) template Paths<ForwardBuffers<T>> conv2d_forward_paths<T>();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
