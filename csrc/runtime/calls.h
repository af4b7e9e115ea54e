// The calls of the CPU's kernels, from addresses and counts. Each buffer's count is checked against
// the shape, and each call may let the program's other threads go on. Layer: runtime.
#pragma once

#include <string>

#include "../core/buffer.h"
#include "../core/shape.h"
#include "cpu.h"

namespace fastconv::runtime {

// Does what a program wants around a kernel of many steps: Python releases the GIL. begin() returns
// what end() gets. Set once, before the first call; without it nothing is done.
struct AroundLongCalls {
  void* (*begin)() = nullptr;
  void (*end)(void*) = nullptr;
};
void set_around_long_calls(AroundLongCalls functions);

inline cpu::Context checked_context(int threads) {
  const cpu::Context context{threads};
  Cpu::check(context);
  return context;
}

// bias, addend and grad_bias may have no address. `path` is the name of a path, or "" for the chosen path.
// With cache_filters, for inference, transformed filters are kept, and made only if w is new or has
// changed.
void conv2d_forward(int dtype, const Conv2dShape& s, Buffer x, Buffer w,
                    const EpilogueBuffers& epilogue, Buffer y, int threads, const std::string& path,
                    bool cache_filters = false);
void conv2d_backward_input(int dtype, const Conv2dShape& s, Buffer grad_y, Buffer w, Buffer grad_x,
                           int threads, const std::string& path);
void conv2d_backward_weight(int dtype, const Conv2dShape& s, Buffer grad_y, Buffer x, Buffer grad_w,
                            Buffer grad_bias, int threads, const std::string& path);

// codes of forward may have no address.
void max_pool2d_forward(int dtype, const Pool2dShape& s, Buffer x, Buffer y, Buffer codes,
                        int threads);
void max_pool2d_backward(int dtype, const Pool2dShape& s, Buffer grad_y, Buffer codes,
                         Buffer grad_x, int threads);
void avg_pool2d_forward(int dtype, const Pool2dShape& s, Buffer x, Buffer y, int threads);
void avg_pool2d_backward(int dtype, const Pool2dShape& s, Buffer grad_y, Buffer grad_x,
                         int threads);
void max_pool2d_indices(const Pool2dShape& s, Buffer codes, Buffer indices, int threads);

// They throw std::runtime_error, in torch's words, if an index is outside of its plane.
void max_unpool_forward(int dtype, const UnpoolShape& s, Buffer x, Buffer indices, Buffer y,
                        int threads);
void max_unpool_backward(int dtype, const UnpoolShape& s, Buffer grad_y, Buffer indices,
                         Buffer grad_x, int threads);

}  // namespace fastconv::runtime
