// Binds Conv2dShape and Pool2dShape (../core/shape.h). Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

void bind_shapes(pybind11::module_& m);

}  // namespace fastconv::bindings
