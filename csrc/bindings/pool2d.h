// Binds the pools. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "../shape.h"

namespace fastconv::bindings {

// On addresses with their element counts, which are checked; codes may be null.
void max_pool2d_forward(int dtype, const Pool2dShape& s, uintptr_t x, int64_t x_count, uintptr_t y,
                        int64_t y_count, uintptr_t codes, int64_t codes_count, int threads);
void avg_pool2d_forward(int dtype, const Pool2dShape& s, uintptr_t x, int64_t x_count, uintptr_t y,
                        int64_t y_count, int threads);
void max_pool2d_backward(int dtype, const Pool2dShape& s, uintptr_t grad_y, int64_t grad_y_count,
                         uintptr_t codes, int64_t codes_count, uintptr_t grad_x,
                         int64_t grad_x_count, int threads);
void avg_pool2d_backward(int dtype, const Pool2dShape& s, uintptr_t grad_y, int64_t grad_y_count,
                         uintptr_t grad_x, int64_t grad_x_count, int threads);
void bind_pool2d(pybind11::module_& m);

}  // namespace fastconv::bindings
