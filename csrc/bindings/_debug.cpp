// The Python module fastconv._debug: everything of fastconv._C, what only tests and benchmarks
// need, and the instruction set avx2-wide. Layer: bindings.
#include "debug.h"
#include "module.h"

PYBIND11_MODULE(_debug, m) {
  fastconv::bindings::bind_all(m);
  fastconv::bindings::bind_debug(m);
}
