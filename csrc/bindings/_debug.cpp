// fastconv._debug: fastconv._C once more, with what only tests and benchmarks need beside it, and with
// the instruction set avx2-wide. Layer: bindings.
#include "debug.h"
#include "module.h"

PYBIND11_MODULE(_debug, m) {
  fastconv::bindings::bind_all(m);
  fastconv::bindings::bind_debug(m);
}
