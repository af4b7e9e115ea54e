// Which products of pairs of bfloat16 this process has (table.h). Layer: cpu/gemm.
#include "table.h"

namespace fastconv::cpu {

#if defined(__x86_64__)
namespace avx512_bf16 {
const PairKernels& pair_kernels();
}
namespace avx2_wide {
__attribute__((weak)) const PairKernels& pair_kernels();
}

const PairKernels* pair_kernels() {
  if (isa() == Isa::avx512 && has_bfloat16_products()) return &avx512_bf16::pair_kernels();
  const PairKernels& (*emulated)() = avx2_wide::pair_kernels;
  return isa() == Isa::avx2_wide && emulated != nullptr ? &emulated() : nullptr;
}
#else
const PairKernels* pair_kernels() { return nullptr; }
#endif

}  // namespace fastconv::cpu
