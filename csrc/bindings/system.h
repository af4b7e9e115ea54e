// Binds what a user may ask of the build and the machine. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

namespace fastconv::bindings {

// Throws ImportError, in one sentence, if FASTCONV_ISA asks for what is not there.
void check_isa();
void bind_system(pybind11::module_& m);

}  // namespace fastconv::bindings
