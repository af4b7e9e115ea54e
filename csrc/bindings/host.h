// What the short way of plain eager calls (eager.cpp) and torch ask of each other. Two hosts answer
// for torch: python_host.cpp through Python objects and DLPack, and the optional library of
// csrc/torch/ through torch's C++ API. Layer: bindings (no torch, no pybind11).
#pragma once

#include <Python.h>

#include <cstdint>

#include "../core/buffer.h"
#include "../core/dtype.h"
#include "../core/shape.h"

namespace fastconv::bindings {

enum Operator : int32_t { CONV2D, MAX_POOL2D, AVG_POOL2D, ADAPTIVE_AVG_POOL2D, OPERATORS };

// Tensors that lead an operator's arguments: x, w and bias (or None) of a convolution, x of a pool.
constexpr int tensors_of(Operator op) { return op == CONV2D ? 3 : 1; }
constexpr int MAX_TENSORS = 3;

// A kind of call: all that its kernels need beyond addresses. Bytes, which may be copied.
struct Call {
  Operator op;
  DType dtype;
  bool ceil_mode;  // of a pool; its shape has the extents that follow from it
  Conv2dShape conv;
  Pool2dShape pool;
};

// A dense CPU tensor of a kernel's element type. Sizes and strides belong to the tensor.
struct View {
  Buffer buffer;
  DType dtype;
  int ndim;
  const int64_t *sizes, *strides;  // in elements
};

struct Plan {
  Call call;
  PyObject* extras;  // a tuple that python_host.cpp knows
};

class Host {
 public:
  virtual ~Host() = default;
  // Whether a compiler, tracer, profiler, mode, transform or autocast would want to see the call.
  virtual bool watched() = 0;
  // A view of a tensor that is its memory alone: dense or not, on the CPU, of a kernel's element
  // type, no subclass, no pending negation. False if it is not.
  virtual bool view(PyObject* tensor, View& view) = 0;
  // The result of a call, with a gradient where one may be asked for. `capsule` holds the plan.
  virtual PyObject* run(const Plan& plan, PyObject* capsule, PyObject* const* tensors,
                        const View* views) = 0;
};

// The kernels. They check every count, and let other Python threads run if they take long and the
// calling thread holds the GIL; it need not.
struct Kernels {
  // cache_filters: for inference, see conv2d.h.
  void (*conv2d)(const Call&, Buffer x, Buffer w, Buffer bias, Buffer y, int threads,
                 bool cache_filters);
  void (*conv2d_backward_input)(const Call&, Buffer grad_y, Buffer w, Buffer grad_x, int threads);
  void (*conv2d_backward_weight)(const Call&, Buffer grad_y, Buffer x, Buffer grad_w,
                                 Buffer grad_bias, int threads);
  void (*max_pool2d)(const Call&, Buffer x, Buffer y, Buffer codes, int threads);
  void (*max_pool2d_backward)(const Call&, Buffer grad_y, Buffer codes, Buffer grad_x, int threads);
  void (*avg_pool2d)(const Call&, Buffer x, Buffer y, int threads);
  void (*avg_pool2d_backward)(const Call&, Buffer grad_y, Buffer grad_x, int threads);
};
const Kernels& kernels();

// Names of capsules. They change with this header, so that libraries of two builds do not meet.
constexpr const char* HOST_CAPSULE = "fastconv.host.2";
constexpr const char* KERNELS_CAPSULE = "fastconv.kernels.3";

}  // namespace fastconv::bindings
