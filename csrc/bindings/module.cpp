// Binds the kernels on raw addresses. The runtime checks the count of every buffer against the shape,
// allocates workspaces and runs kernels of many steps without the GIL. Layer: bindings (pybind11, no
// torch).
#include "module.h"

#include "../runtime/calls.h"
#include "conv2d.h"
#include "eager.h"
#include "pool2d.h"
#include "shapes.h"
#include "system.h"

namespace fastconv::bindings {
namespace {

// A backward pass may not hold the GIL.
void* release_gil() { return PyGILState_Check() ? PyEval_SaveThread() : nullptr; }
void take_gil(void* state) {
  if (state) PyEval_RestoreThread(static_cast<PyThreadState*>(state));
}

}  // namespace

void bind_all(pybind11::module_& m) {
  m.doc() = "Kernels of fastconv on raw addresses; fastconv.core.ops has them on tensors.";
  check_isa();
  runtime::set_around_long_calls({release_gil, take_gil});
  bind_shapes(m);
  bind_conv2d(m);
  bind_pool2d(m);
  bind_eager(m);
  bind_python_host(m);
  bind_system(m);
}

}  // namespace fastconv::bindings
