// Binds questions about the build and the machine. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

// Throws ImportError if FASTCONV_ISA asks for a set that is unknown or not supported.
void check_isa();
void bind_system(pybind11::module_& m);

}  // namespace fastconv::bindings
