// Binds conv2d in its three directions. Layer: bindings.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "../shape.h"

namespace fastconv::bindings {

// On addresses with their element counts, which are checked; bias may be null. `path`: the name of
// one, or "" for the first that takes the shape. cache_filters, for inference: filters are
// transformed when w is new or has changed, and kept.
void conv2d_forward(int dtype, const Conv2dShape& s, uintptr_t x, int64_t x_count, uintptr_t w,
                    int64_t w_count, uintptr_t bias, int64_t bias_count, uintptr_t y,
                    int64_t y_count, int threads, const std::string& path,
                    bool cache_filters = false);
void conv2d_backward_input(int dtype, const Conv2dShape& s, uintptr_t grad_y, int64_t grad_y_count,
                           uintptr_t w, int64_t w_count, uintptr_t grad_x, int64_t grad_x_count,
                           int threads, const std::string& path);
void conv2d_backward_weight(int dtype, const Conv2dShape& s, uintptr_t grad_y, int64_t grad_y_count,
                            uintptr_t x, int64_t x_count, uintptr_t grad_w, int64_t grad_w_count,
                            uintptr_t grad_bias, int64_t grad_bias_count, int threads,
                            const std::string& path);
void bind_conv2d(pybind11::module_& m);

}  // namespace fastconv::bindings
