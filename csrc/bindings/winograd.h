// Binds Winograd's transforms, for tests, and the time of its phases. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

void bind_winograd(pybind11::module_& m);

}  // namespace fastconv::bindings
