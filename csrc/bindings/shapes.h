// Python's view of the extents in shape.h. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

void bind_shapes(pybind11::module_& m);

}  // namespace fastconv::bindings
