// fastconv._C: the kernels of csrc/cpu on raw addresses. Every buffer's element count is checked
// against the shape, the GIL is released while kernels run, and workspaces are allocated here.
// Layer: bindings (pybind11, no torch).
#include <pybind11/pybind11.h>

#include <string>

#include "conv2d.h"
#include "eager.h"
#include "pool2d.h"
#include "shapes.h"
#include "system.h"
#include "winograd.h"

PYBIND11_MODULE(_C, m) {
  m.doc() = "Kernels of fastconv on raw addresses; see fastconv.ops for the operators on tensors.";
  fastconv::bindings::check_isa();
  fastconv::bindings::bind_shapes(m);
  fastconv::bindings::bind_conv2d(m);
  fastconv::bindings::bind_pool2d(m);
  fastconv::bindings::bind_eager(m);
  fastconv::bindings::bind_python_host(m);
  fastconv::bindings::bind_system(m);
  fastconv::bindings::bind_winograd(m);
}
