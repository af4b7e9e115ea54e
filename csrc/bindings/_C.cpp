// The Python module fastconv._C. Layer: bindings.
#include "module.h"

PYBIND11_MODULE(_C, m) { fastconv::bindings::bind_all(m); }
