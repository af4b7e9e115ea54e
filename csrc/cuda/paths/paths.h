// Every launcher on untyped addresses, with C linkage: for the bindings, and for tests through
// ctypes. Layer: cuda/paths. dtype numbers: cuda/common/dtype.h. Each returns a cudaError_t.
#pragma once

#include "../../core/shape.h"
#include "../common/dtype.h"
#include "../common/tuning.h"

namespace fastconv::cuda {
// Which family runs a convolution. `chosen` leaves it to the shape; tests name one.
enum class Family : int32_t { chosen = 0, depthwise = 1, gemm = 2, direct = 3 };
}  // namespace fastconv::cuda

#define FASTCONV_CUDA_API extern "C" __attribute__((visibility("default")))

// What CUDA says of an error's number.
FASTCONV_CUDA_API const char* fastconv_cuda_error_text(int error);

FASTCONV_CUDA_API int fastconv_cuda_conv2d_forward(int dtype, const fastconv::Conv2dShape*,
                                                   const void* x, const void* w, const void* bias,
                                                   void* y, int family,
                                                   const fastconv::cuda::Tuning*, void* stream);
FASTCONV_CUDA_API int fastconv_cuda_conv2d_backward_input(int dtype, const fastconv::Conv2dShape*,
                                                          const void* grad_y, const void* w,
                                                          void* grad_x, int family,
                                                          const fastconv::cuda::Tuning*,
                                                          void* stream);
// Bytes of workspace, or -1: no such type.
FASTCONV_CUDA_API int64_t fastconv_cuda_conv2d_weight_workspace(int dtype,
                                                                const fastconv::Conv2dShape*,
                                                                int family,
                                                                const fastconv::cuda::Tuning*);
// grad_bias may be null. workspace: as many bytes as the query says, aligned to 8.
FASTCONV_CUDA_API int fastconv_cuda_conv2d_backward_weight(
    int dtype, const fastconv::Conv2dShape*, const void* grad_y, const void* x, void* grad_w,
    void* grad_bias, void* workspace, int family, const fastconv::cuda::Tuning*, void* stream);
// codes: bytes, or int32 where the window is adaptive or shape.byte_codes() is false; null: not wanted.
FASTCONV_CUDA_API int fastconv_cuda_max_pool2d_forward(int dtype, const fastconv::Pool2dShape*,
                                                       const void* x, void* y, void* codes,
                                                       const fastconv::cuda::Tuning*, void* stream);
FASTCONV_CUDA_API int fastconv_cuda_max_pool2d_indices(const fastconv::Pool2dShape*,
                                                       const void* codes, int64_t* indices,
                                                       const fastconv::cuda::Tuning*, void* stream);
FASTCONV_CUDA_API int fastconv_cuda_max_pool2d_backward(int dtype, const fastconv::Pool2dShape*,
                                                        const void* grad_y, const void* codes,
                                                        void* grad_x, const fastconv::cuda::Tuning*,
                                                        void* stream);
FASTCONV_CUDA_API int fastconv_cuda_avg_pool2d_forward(int dtype, const fastconv::Pool2dShape*,
                                                       const void* x, void* y,
                                                       const fastconv::cuda::Tuning*, void* stream);
FASTCONV_CUDA_API int fastconv_cuda_avg_pool2d_backward(int dtype, const fastconv::Pool2dShape*,
                                                        const void* grad_y, void* grad_x,
                                                        const fastconv::cuda::Tuning*,
                                                        void* stream);
