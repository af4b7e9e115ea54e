// The CPU as a device of the runtime. Another device provides the same members. Layer: runtime.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "../cpu/common/checksum.h"
#include "../cpu/common/isa.h"
#include "../cpu/paths/paths.h"
#include "../cpu/pool/max_unpool.h"
#include "../cpu/pool/pool2d.h"
#include "../cpu/simd/table.h"
#include "host_memory.h"

namespace fastconv::runtime {

struct Cpu {
  using Context = cpu::Context;

  static void check(const Context& context) {
    if (context.threads < 1)
      throw std::invalid_argument("threads must be positive, got " +
                                  std::to_string(context.threads));
  }

  // Return the path list of the direction that has these buffers.
  template <class T>
  static auto paths(const ForwardBuffers<T>*) {
    return cpu::conv2d_forward_paths<T>();
  }
  template <class T>
  static auto paths(const BackwardInputBuffers<T>*) {
    return cpu::conv2d_backward_input_paths<T>();
  }
  template <class T>
  static auto paths(const BackwardWeightBuffers<T>*) {
    return cpu::conv2d_backward_weight_paths<T>();
  }

  static void* workspace(int64_t bytes, const Context&) { return runtime::workspace(bytes); }
  using EndOfCall = TrimWorkspace;  // constructed at the start of a call, destroyed at its end
  static Memory allocate(int64_t bytes, const Context&) { return runtime::allocate(bytes); }
  static void will_write(void* data, int64_t bytes) { prefer_huge_pages(data, bytes); }
  // Returns a number that changes when the memory changes.
  static uint64_t checksum(const void* data, int64_t bytes, const Context& context) {
    return cpu::checksum(data, bytes, context.threads);
  }

  // Elements per vector.
  template <class T>
  static int lanes() {
    return cpu::row_kernels<T>(cpu::isa()).lanes;
  }
};

}  // namespace fastconv::runtime
