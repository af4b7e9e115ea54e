// The pools on addresses. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

void bind_pool2d(pybind11::module_& m);

}  // namespace fastconv::bindings
