// conv2d in its three directions, and questions about its paths. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

void bind_conv2d(pybind11::module_& m);

}  // namespace fastconv::bindings
