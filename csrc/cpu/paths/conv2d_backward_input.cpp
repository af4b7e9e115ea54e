// The paths of conv2d backward_input on a CPU, in the order in which they are asked. Layer: cpu/paths.
#include "../depthwise/depthwise.h"
#include "../direct/direct.h"
#include "../gemm/gemm.h"
#include "../grouped/grouped.h"
#include "../reference/reference.h"
#include "../winograd/winograd.h"
#include "paths.h"

namespace fastconv::cpu {

template <class T>
Paths<BackwardInputBuffers<T>> conv2d_backward_input_paths() {
  // clang-format off
  static const Path<BackwardInputBuffers<T>> PATHS[] = {
      tiny(reference_backward_input_path<T>()),
      small_map_backward_input_path<T>(),
      winograd_backward_input_path<T>(),
      depthwise_backward_input_path<T>(),
      grouped_backward_input_path<T>(),
      gemm_backward_input_path<T>(),
      direct_backward_input_path<T>(),
      reference_backward_input_path<T>(),
  };
  // clang-format on
  return Paths<BackwardInputBuffers<T>>(PATHS);
}

#define INSTANTIATE(T) template Paths<BackwardInputBuffers<T>> conv2d_backward_input_paths<T>();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
