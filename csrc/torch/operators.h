// Registers what torch's dispatcher calls for torch.ops.fastconv.*. Layer: torch host.
#pragma once

#include <Python.h>

namespace torch {
class Library;
}

namespace fastconv::torch_host {

// The kernels of CPU tensors (operators.cpp), in place of the ones of fastconv/core/ops.py.
void register_operators();
void register_unpool(torch::Library& operators);  // of them, those of unpool.cpp

// What the operators do where derivatives may be recorded (recording.cpp). `functions` maps names
// of operators to Python functions, which it calls only where a derivative is recorded. It is kept.
void register_recording(PyObject* functions);

}  // namespace fastconv::torch_host
