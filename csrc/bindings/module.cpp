// Binds the kernels on raw addresses. The bindings check the count of every buffer against the
// shape and run kernels without the GIL. The runtime allocates workspaces. Layer: bindings
// (pybind11, no torch).
#include "module.h"

#include "conv2d.h"
#include "eager.h"
#include "pool2d.h"
#include "shapes.h"
#include "system.h"

namespace fastconv::bindings {

void bind_all(pybind11::module_& m) {
  m.doc() = "Kernels of fastconv on raw addresses; fastconv.core.ops has them on tensors.";
  check_isa();
  bind_shapes(m);
  bind_conv2d(m);
  bind_pool2d(m);
  bind_eager(m);
  bind_python_host(m);
  bind_system(m);
}

}  // namespace fastconv::bindings
