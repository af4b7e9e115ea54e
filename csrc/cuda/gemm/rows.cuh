// The pixels of a gather as rows of a matrix product. Layer: cuda/gemm.
#pragma once

#include "../common/gather.h"

namespace fastconv::cuda {

struct Row {
  int64_t offset;
  int h, w;  // h is beyond every image for rows that do not exist
};
__device__ __forceinline__ Row row_of(const Gather& g, int64_t row, int64_t group) {
  if (row >= g.rows()) return {0, INT32_MIN / 2, 0};
  const int64_t line = row / g.RW, n = line / g.RH;
  const int h = int(g.first_h + (line - n * g.RH) * g.row_step_h);
  const int w = int(g.first_w + (row - line * g.RW) * g.row_step_w);
  return {n * g.in.n + group * g.C * g.in.c + h * g.in.h + w * g.in.w, h, w};
}

}  // namespace fastconv::cuda
