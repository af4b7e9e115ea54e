// Binds the CUDA launchers: fastconv._C_cuda. Layer: cuda/bindings.
//
// Tensors are addresses of device memory, the stream is the number that
// torch.cuda.current_stream(device).cuda_stream gives. Nothing waits for the device. The CUDA runtime
// is linked statically, so the library loads without a driver; a launch then raises RuntimeError.
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "../../bindings/shapes.h"
#include "../../core/shape.h"
#include "../paths/paths.h"

namespace py = pybind11;
using fastconv::Conv2dShape;
using fastconv::Pool2dShape;
using fastconv::cuda::Tuning;

namespace {

constexpr int NO_DRIVER = 35;  // cudaErrorInsufficientDriver
constexpr Tuning CHOSEN{};
constexpr int FAMILY = int(fastconv::cuda::Family::chosen);

void check(const char* operation, int error) {
  if (error == 0) return;
  std::string text = std::string("fastconv ") + operation + ": CUDA error " +
                     std::to_string(error) + ", " + fastconv_cuda_error_text(error);
  if (error == NO_DRIVER)
    text += "; no NVIDIA driver is here, or it is older than the CUDA runtime";
  throw std::runtime_error(text);
}

template <class T = void>
T* at(uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

void conv2d_forward(int dtype, const Conv2dShape& s, uintptr_t x, uintptr_t w, uintptr_t bias,
                    uintptr_t y, uintptr_t stream) {
  check("conv2d", fastconv_cuda_conv2d_forward(dtype, &s, at(x), at(w), at(bias), at(y), FAMILY,
                                               &CHOSEN, at(stream)));
}
void conv2d_backward_input(int dtype, const Conv2dShape& s, uintptr_t grad_y, uintptr_t w,
                           uintptr_t grad_x, uintptr_t stream) {
  check("conv2d backward_input",
        fastconv_cuda_conv2d_backward_input(dtype, &s, at(grad_y), at(w), at(grad_x), FAMILY,
                                            &CHOSEN, at(stream)));
}
int64_t conv2d_weight_workspace(int dtype, const Conv2dShape& s) {
  return fastconv_cuda_conv2d_weight_workspace(dtype, &s, FAMILY, &CHOSEN);
}
void conv2d_backward_weight(int dtype, const Conv2dShape& s, uintptr_t grad_y, uintptr_t x,
                            uintptr_t grad_w, uintptr_t grad_bias, uintptr_t workspace,
                            uintptr_t stream) {
  check("conv2d backward_weight", fastconv_cuda_conv2d_backward_weight(
                                      dtype, &s, at(grad_y), at(x), at(grad_w), at(grad_bias),
                                      at(workspace), FAMILY, &CHOSEN, at(stream)));
}
void max_pool2d_forward(int dtype, const Pool2dShape& s, uintptr_t x, uintptr_t y, uintptr_t codes,
                        uintptr_t indices, uintptr_t stream) {
  check("max_pool2d", fastconv_cuda_max_pool2d_forward(dtype, &s, at(x), at(y), at(codes),
                                                       at<int64_t>(indices), &CHOSEN, at(stream)));
}
void max_pool2d_backward(int dtype, const Pool2dShape& s, uintptr_t grad_y, uintptr_t codes,
                         uintptr_t grad_x, uintptr_t stream) {
  check("max_pool2d backward", fastconv_cuda_max_pool2d_backward(dtype, &s, at(grad_y), at(codes),
                                                                 at(grad_x), &CHOSEN, at(stream)));
}
void avg_pool2d_forward(int dtype, const Pool2dShape& s, uintptr_t x, uintptr_t y,
                        uintptr_t stream) {
  check("avg_pool2d",
        fastconv_cuda_avg_pool2d_forward(dtype, &s, at(x), at(y), &CHOSEN, at(stream)));
}
void avg_pool2d_backward(int dtype, const Pool2dShape& s, uintptr_t grad_y, uintptr_t grad_x,
                         uintptr_t stream) {
  check("avg_pool2d backward",
        fastconv_cuda_avg_pool2d_backward(dtype, &s, at(grad_y), at(grad_x), &CHOSEN, at(stream)));
}

}  // namespace

PYBIND11_MODULE(_C_cuda, m) {
  m.doc() = "CUDA kernels of fastconv on addresses of device memory";
  fastconv::bindings::bind_shapes(m);
  m.attr("ARCHITECTURES") = FASTCONV_CUDA_ARCHITECTURES;
  m.def("conv2d_forward", &conv2d_forward);
  m.def("conv2d_backward_input", &conv2d_backward_input);
  m.def("conv2d_weight_workspace", &conv2d_weight_workspace);
  m.def("conv2d_backward_weight", &conv2d_backward_weight);
  m.def("max_pool2d_forward", &max_pool2d_forward);
  m.def("max_pool2d_backward", &max_pool2d_backward);
  m.def("avg_pool2d_forward", &avg_pool2d_forward);
  m.def("avg_pool2d_backward", &avg_pool2d_backward);
}
