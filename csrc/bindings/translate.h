// Turns Python's arguments into the runtime's, for every bound function. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

#include "../core/dtype.h"
#include "../runtime/buffers.h"
#include "../runtime/calls.h"
#include "buffer.h"

namespace fastconv::bindings {

using runtime::checked_context;
using runtime::Cpu;

}  // namespace fastconv::bindings
