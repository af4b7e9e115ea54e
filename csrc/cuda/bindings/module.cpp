// Binds the CUDA launchers: fastconv._C_cuda. Layer: cuda/bindings.
//
// A Buffer is device memory. The stream is the number that torch.cuda.current_stream().cuda_stream
// gives; the device of the tensors must be current. Nothing waits for the device. The CUDA runtime is
// linked statically, so the library loads without a driver; a launch then raises RuntimeError.
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "../../bindings/buffer.h"
#include "../../bindings/shapes.h"
#include "../../core/shape.h"
#include "../../runtime/buffers.h"
#include "../paths/paths.h"

namespace py = pybind11;
using fastconv::Buffer;
using fastconv::Conv2dShape;
using fastconv::Pool2dShape;
using fastconv::cuda::Tuning;

namespace {

constexpr int NO_DRIVER = 35;  // cudaErrorInsufficientDriver
constexpr int FAMILY = int(fastconv::cuda::Family::chosen);

void check(const char* operation, int error) {
  if (error == 0) return;
  std::string text = std::string("fastconv ") + operation + ": CUDA error " +
                     std::to_string(error) + ", " + fastconv_cuda_error_text(error);
  if (error == NO_DRIVER)
    text += "; no NVIDIA driver is here, or it is older than the CUDA runtime";
  throw std::runtime_error(text);
}

// How a call is queued: on which stream, and what the kernels may use of the device.
struct Queue {
  uintptr_t stream;
  Tuning tuning;

  Queue(uintptr_t stream, int tensor_cores, bool tf32) : stream(stream) {
    tuning.tensor_cores = tensor_cores;
    tuning.tf32 = tf32;
  }
  void* handle() const { return reinterpret_cast<void*>(stream); }
};

void* at(const char* name, Buffer buffer, int64_t expected, bool optional = false) {
  return fastconv::runtime::checked<char>(name, buffer, expected, optional);
}

void conv2d_forward(int dtype, const Conv2dShape& s, Buffer x, Buffer w, Buffer bias, Buffer y,
                    const Queue& q) {
  check("conv2d",
        fastconv_cuda_conv2d_forward(dtype, &s, at("x", x, s.x_count()), at("w", w, s.w_count()),
                                     at("bias", bias, s.OC, true), at("y", y, s.y_count()), FAMILY,
                                     &q.tuning, q.handle()));
}
void conv2d_backward_input(int dtype, const Conv2dShape& s, Buffer grad_y, Buffer w, Buffer grad_x,
                           const Queue& q) {
  check("conv2d backward_input",
        fastconv_cuda_conv2d_backward_input(
            dtype, &s, at("grad_y", grad_y, s.y_count()), at("w", w, s.w_count()),
            at("grad_x", grad_x, s.x_count()), FAMILY, &q.tuning, q.handle()));
}
int64_t conv2d_weight_workspace(int dtype, const Conv2dShape& s, const Queue& q) {
  return fastconv_cuda_conv2d_weight_workspace(dtype, &s, FAMILY, &q.tuning);
}
// workspace: bytes.
void conv2d_backward_weight(int dtype, const Conv2dShape& s, Buffer grad_y, Buffer x, Buffer grad_w,
                            Buffer grad_bias, Buffer workspace, const Queue& q) {
  void* room = at("workspace", workspace, conv2d_weight_workspace(dtype, s, q));
  check("conv2d backward_weight",
        fastconv_cuda_conv2d_backward_weight(
            dtype, &s, at("grad_y", grad_y, s.y_count()), at("x", x, s.x_count()),
            at("grad_w", grad_w, s.w_count()), at("grad_bias", grad_bias, s.OC, true), room, FAMILY,
            &q.tuning, q.handle()));
}
void max_pool2d_forward(int dtype, const Pool2dShape& s, Buffer x, Buffer y, Buffer codes,
                        const Queue& q) {
  check("max_pool2d", fastconv_cuda_max_pool2d_forward(
                          dtype, &s, at("x", x, s.x_count()), at("y", y, s.y_count()),
                          at("codes", codes, s.y_count(), true), &q.tuning, q.handle()));
}
void max_pool2d_indices(const Pool2dShape& s, Buffer codes, Buffer indices, const Queue& q) {
  check("max_pool2d indices",
        fastconv_cuda_max_pool2d_indices(&s, at("codes", codes, s.y_count()),
                                         static_cast<int64_t*>(at("indices", indices, s.y_count())),
                                         &q.tuning, q.handle()));
}
void max_pool2d_backward(int dtype, const Pool2dShape& s, Buffer grad_y, Buffer codes,
                         Buffer grad_x, const Queue& q) {
  check("max_pool2d backward",
        fastconv_cuda_max_pool2d_backward(
            dtype, &s, at("grad_y", grad_y, s.y_count()), at("codes", codes, s.y_count()),
            at("grad_x", grad_x, s.x_count()), &q.tuning, q.handle()));
}
void avg_pool2d_forward(int dtype, const Pool2dShape& s, Buffer x, Buffer y, const Queue& q) {
  check("avg_pool2d",
        fastconv_cuda_avg_pool2d_forward(dtype, &s, at("x", x, s.x_count()),
                                         at("y", y, s.y_count()), &q.tuning, q.handle()));
}
void avg_pool2d_backward(int dtype, const Pool2dShape& s, Buffer grad_y, Buffer grad_x,
                         const Queue& q) {
  check("avg_pool2d backward", fastconv_cuda_avg_pool2d_backward(
                                   dtype, &s, at("grad_y", grad_y, s.y_count()),
                                   at("grad_x", grad_x, s.x_count()), &q.tuning, q.handle()));
}

}  // namespace

PYBIND11_MODULE(_C_cuda, m) {
  m.doc() = "CUDA kernels of fastconv on addresses of device memory";
  fastconv::bindings::bind_shapes(m);
  py::class_<Queue>(m, "Queue", py::module_local(), "Where a call goes, and what it may use.")
      .def(py::init<uintptr_t, int, bool>(), py::arg("stream"), py::arg("tensor_cores") = 0,
           py::arg("tf32") = false);
  m.attr("ARCHITECTURES") = FASTCONV_CUDA_ARCHITECTURES;
  py::dict types;
  for (const auto& [name, type] : fastconv::cuda::DTYPE_NAMES) types[name] = int(type);
  m.attr("DTYPES") = types;
  m.def("conv2d_forward", &conv2d_forward);
  m.def("conv2d_backward_input", &conv2d_backward_input);
  m.def("conv2d_weight_workspace", &conv2d_weight_workspace);
  m.def("conv2d_backward_weight", &conv2d_backward_weight);
  m.def("max_pool2d_forward", &max_pool2d_forward);
  m.def("max_pool2d_indices", &max_pool2d_indices);
  m.def("max_pool2d_backward", &max_pool2d_backward);
  m.def("avg_pool2d_forward", &avg_pool2d_forward);
  m.def("avg_pool2d_backward", &avg_pool2d_backward);
}
