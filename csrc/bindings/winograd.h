// Binds Winograd's transforms, for tests. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

void bind_winograd(pybind11::module_& m);

}  // namespace fastconv::bindings
