// Binds everything that fastconv._C offers to a module. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

void bind_all(pybind11::module_& m);

}  // namespace fastconv::bindings
