// The short way of plain eager calls: from tensors to the result without Python in between.
// Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

void bind_eager(pybind11::module_& m);

}  // namespace fastconv::bindings
