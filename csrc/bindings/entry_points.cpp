// The table of host.h: the kernels for hosts. Nothing here is of Python, so the library for programs
// without Python (csrc/torch/standalone/) links this file, too. Layer: bindings.
#include "../runtime/calls.h"
#include "../runtime/shapes.h"
#include "host.h"

namespace fastconv::bindings {
namespace {

using runtime::Pair;
using runtime::Quad;

Pair pair(const int64_t* values) { return {values[0], values[1]}; }
Quad quad(const int64_t* values) { return {values[0], values[1], values[2], values[3]}; }

// The element type of a call as the bound functions take it.
int number(const Call& call) { return static_cast<int>(call.dtype); }

}  // namespace

const EntryPoints& entry_points() {
  static const EntryPoints table = {
      [](const int64_t* x, const int64_t* w, const int64_t* stride, const int64_t* padding,
         const int64_t* dilation, int64_t groups, bool x_last, bool w_last, bool y_last) {
        return runtime::make_conv2d_shape(quad(x), quad(w), pair(stride), quad(padding),
                                          pair(dilation), groups, x_last, w_last, y_last);
      },
      [](const int64_t* x, const int64_t* kernel, const int64_t* stride, const int64_t* padding,
         const int64_t* dilation, bool ceil_mode, bool include, int64_t divisor, bool last) {
        return runtime::make_pool2d_shape(quad(x), pair(kernel), pair(stride), pair(padding),
                                          pair(dilation), ceil_mode, include, divisor, last);
      },
      [](const int64_t* x, const int64_t* output, bool last) {
        return runtime::make_adaptive_shape(quad(x), pair(output), last);
      },
      [](const int64_t* x, const int64_t* output, int dims, bool last) {
        return runtime::make_unpool_shape({x, x + 2 + dims}, {output, output + dims}, last);
      },
      [](const Call& c, Buffer x, Buffer w, const EpilogueBuffers& epilogue, Buffer y, int threads,
         bool cache_filters) {
        runtime::conv2d_forward(number(c), c.conv, x, w, epilogue, y, threads, "", cache_filters);
      },
      [](const Call& c, Buffer grad_y, Buffer w, Buffer grad_x, int threads) {
        runtime::conv2d_backward_input(number(c), c.conv, grad_y, w, grad_x, threads, "");
      },
      [](const Call& c, Buffer grad_y, Buffer x, Buffer grad_w, Buffer grad_bias, int threads) {
        runtime::conv2d_backward_weight(number(c), c.conv, grad_y, x, grad_w, grad_bias, threads,
                                        "");
      },
      [](const Call& c, Buffer x, Buffer y, Buffer codes, int threads) {
        runtime::max_pool2d_forward(number(c), c.pool, x, y, codes, threads);
      },
      [](const Call& c, Buffer codes, Buffer indices, int threads) {
        runtime::max_pool2d_indices(c.pool, codes, indices, threads);
      },
      [](const Call& c, Buffer grad_y, Buffer codes, Buffer grad_x, int threads) {
        runtime::max_pool2d_backward(number(c), c.pool, grad_y, codes, grad_x, threads);
      },
      [](const Call& c, Buffer x, Buffer y, int threads) {
        runtime::avg_pool2d_forward(number(c), c.pool, x, y, threads);
      },
      [](const Call& c, Buffer grad_y, Buffer grad_x, int threads) {
        runtime::avg_pool2d_backward(number(c), c.pool, grad_y, grad_x, threads);
      },
      [](DType dtype, const UnpoolShape& s, Buffer x, Buffer indices, Buffer y, int threads) {
        runtime::max_unpool_forward(static_cast<int>(dtype), s, x, indices, y, threads);
      },
      [](DType dtype, const UnpoolShape& s, Buffer grad_y, Buffer indices, Buffer grad_x,
         int threads) {
        runtime::max_unpool_backward(static_cast<int>(dtype), s, grad_y, indices, grad_x, threads);
      },
  };
  return table;
}

}  // namespace fastconv::bindings
