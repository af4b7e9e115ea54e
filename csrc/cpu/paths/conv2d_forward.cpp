// The paths of conv2d forward on a CPU, in the order in which they are asked. Layer: cpu/paths.
#include "../depthwise/depthwise.h"
#include "../direct/direct.h"
#include "../gemm/gemm.h"
#include "../grouped/grouped.h"
#include "../reference/reference.h"
#include "../winograd/winograd.h"
#include "paths.h"

namespace fastconv::cpu {

template <class T>
Paths<ForwardBuffers<T>> conv2d_forward_paths() {
  // clang-format off
  static const Path<ForwardBuffers<T>> PATHS[] = {
      tiny(reference_forward_path<T>()),
      small_map_forward_path<T>(),
      winograd_forward_path<T>(),
      depthwise_forward_path<T>(),
      grouped_forward_path<T>(),
      gemm_forward_path<T>(),
      direct_forward_path<T>(),
      reference_forward_path<T>(),
  };
  // clang-format on
  return Paths<ForwardBuffers<T>>(PATHS);
}

#define INSTANTIATE(T) template Paths<ForwardBuffers<T>> conv2d_forward_paths<T>();
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
