// The interface between the short way of plain eager calls (eager.cpp) and torch. It has two hosts:
// python_host.cpp uses Python objects and DLPack, the optional library of csrc/torch/ uses torch's
// C++ API. Layer: bindings (no torch, no pybind11).
#pragma once

#include <Python.h>

#include <cstdint>

#include "../core/buffer.h"
#include "../core/dtype.h"
#include "../core/shape.h"

namespace fastconv::bindings {

// What a plain call runs. Operators that differ only in their windows run the same kernel; the
// table of operators is Python's (fastconv/core/ops.py).
// MAX_POOL2D_INDICES is MAX_POOL2D whose result is (y, indices).
enum Kernel : int32_t { CONV2D, MAX_POOL2D, AVG_POOL2D, MAX_POOL2D_INDICES, KERNELS };
// Their names in that table, in this order.
constexpr const char* KERNEL_NAMES[KERNELS] = {"conv2d", "max_pool2d", "avg_pool2d",
                                               "max_pool2d_with_indices"};
// The tensors that lead the arguments: x, w and bias (or None), or x.
constexpr int tensors_of(Kernel kernel) { return kernel == CONV2D ? 3 : 1; }
constexpr int MAX_TENSORS = 3;

// A kind of call: everything that its kernels need beside addresses. It may be copied as bytes.
struct Call {
  Kernel kernel;
  int32_t op;  // row of the operator in the tables that eager.py hands out; 0 for torch.ops
  DType dtype;
  bool ceil_mode;  // of a pool; the extents in its shape follow from it
  Conv2dShape conv;
  Pool2dShape pool;
};

// A view of a CPU tensor of a kernel's element type. The tensor owns sizes and strides.
struct View {
  Buffer buffer;
  DType dtype;
  int ndim;
  const int64_t *sizes, *strides;  // in elements
};

struct Plan {
  Call call;
  PyObject* extras;  // a tuple, used by python_host.cpp
};

class Host {
 public:
  virtual ~Host() = default;
  // Returns whether a compiler, tracer, profiler, mode, transform or autocast has to see the call.
  virtual bool watched() = 0;
  // Fills in `view` if the tensor is plain: on the CPU, of a kernel's element type, no subclass, no
  // pending negation. It may have any strides. Returns false if the tensor is not plain.
  virtual bool view(PyObject* tensor, View& view) = 0;
  // Runs a call and records its gradient if one is required. `capsule` holds the plan.
  virtual PyObject* run(const Plan& plan, PyObject* capsule, PyObject* const* tensors,
                        const View* views) = 0;
};

// How a host calls the kernels. Each function checks every count. A long call releases the GIL, if
// the thread holds it.
struct EntryPoints {
  // Shapes, checked: std::invalid_argument says what is wrong. Sizes are four numbers, padding of a
  // convolution too, all else two. divisor_override: 0 for none.
  Conv2dShape (*conv2d_shape)(const int64_t* x, const int64_t* w, const int64_t* stride,
                              const int64_t* padding, const int64_t* dilation, int64_t groups,
                              bool x_channels_last, bool w_channels_last, bool y_channels_last);
  Pool2dShape (*pool2d_shape)(const int64_t* x, const int64_t* kernel, const int64_t* stride,
                              const int64_t* padding, const int64_t* dilation, bool ceil_mode,
                              bool count_include_pad, int64_t divisor_override, bool channels_last);
  Pool2dShape (*adaptive_shape)(const int64_t* x, const int64_t* output, bool channels_last);
  // `x`: N, C and the extents; `output`: `dims` extents, two or three.
  UnpoolShape (*unpool_shape)(const int64_t* x, const int64_t* output, int dims,
                              bool channels_last);
  // cache_filters as in conv2d.h.
  void (*conv2d)(const Call&, Buffer x, Buffer w, const EpilogueBuffers& epilogue, Buffer y,
                 int threads, bool cache_filters);
  void (*conv2d_backward_input)(const Call&, Buffer grad_y, Buffer w, Buffer grad_x, int threads);
  void (*conv2d_backward_weight)(const Call&, Buffer grad_y, Buffer x, Buffer grad_w,
                                 Buffer grad_bias, int threads);
  void (*max_pool2d)(const Call&, Buffer x, Buffer y, Buffer codes, int threads);
  void (*max_pool2d_indices)(const Call&, Buffer codes, Buffer indices, int threads);
  void (*max_pool2d_backward)(const Call&, Buffer grad_y, Buffer codes, Buffer grad_x, int threads);
  void (*avg_pool2d)(const Call&, Buffer x, Buffer y, int threads);
  void (*avg_pool2d_backward)(const Call&, Buffer grad_y, Buffer grad_x, int threads);
  void (*max_unpool)(DType, const UnpoolShape&, Buffer x, Buffer indices, Buffer y, int threads);
  void (*max_unpool_backward)(DType, const UnpoolShape&, Buffer grad_y, Buffer indices,
                              Buffer grad_x, int threads);
};
const EntryPoints& entry_points();

// Names of capsules. They change with this header, so that libraries of different builds do not
// mix.
constexpr const char* HOST_CAPSULE = "fastconv.host.4";
constexpr const char* ENTRY_POINTS_CAPSULE = "fastconv.entry_points.9";

}  // namespace fastconv::bindings
