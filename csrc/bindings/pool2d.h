// The pools on addresses. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

#include "../core/buffer.h"
#include "../core/shape.h"

namespace fastconv::bindings {

// Each buffer's count is checked against the shape. codes of forward may have no address.
void max_pool2d_forward(int dtype, const Pool2dShape& s, Buffer x, Buffer y, Buffer codes,
                        int threads);
void max_pool2d_backward(int dtype, const Pool2dShape& s, Buffer grad_y, Buffer codes,
                         Buffer grad_x, int threads);
void avg_pool2d_forward(int dtype, const Pool2dShape& s, Buffer x, Buffer y, int threads);
void avg_pool2d_backward(int dtype, const Pool2dShape& s, Buffer grad_y, Buffer grad_x,
                         int threads);
void bind_pool2d(pybind11::module_& m);

}  // namespace fastconv::bindings
