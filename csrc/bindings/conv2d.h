// conv2d in its three directions, and questions about its paths. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "../core/buffer.h"
#include "../core/shape.h"

namespace fastconv::bindings {

// Each buffer's count is checked against the shape. bias, addend and grad_bias may have no address. `path`
// is the name of a path, or "" for the chosen path. With cache_filters, for inference, transformed
// filters are kept, and made only if w is new or has changed.
void conv2d_forward(int dtype, const Conv2dShape& s, Buffer x, Buffer w,
                    const EpilogueBuffers& epilogue, Buffer y, int threads, const std::string& path,
                    bool cache_filters = false);
void conv2d_backward_input(int dtype, const Conv2dShape& s, Buffer grad_y, Buffer w, Buffer grad_x,
                           int threads, const std::string& path);
void conv2d_backward_weight(int dtype, const Conv2dShape& s, Buffer grad_y, Buffer x, Buffer grad_w,
                            Buffer grad_bias, int threads, const std::string& path);
void bind_conv2d(pybind11::module_& m);

}  // namespace fastconv::bindings
