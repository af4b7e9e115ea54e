// Functions for tests and benchmarks. Layer: bindings (fastconv._debug).
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

void bind_debug(pybind11::module_& m);

}  // namespace fastconv::bindings
