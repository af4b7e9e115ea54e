// The context of CPU kernels (../../core/conv2d.h), and paths of a CPU. Layer: cpu.
#pragma once

#include "../../core/conv2d.h"

namespace fastconv::cpu {

struct Context {
  int threads;  // the most that work on the call; results do not depend on it
};

template <class Buffers>
using Path = Conv2dPath<Buffers, Context>;
template <class Buffers>
using Paths = Conv2dPaths<Buffers, Context>;

inline int64_t no_workspace(const Conv2dShape&, const Context&) { return 0; }
inline WhyNot always(const Conv2dShape&) { return HOLDS; }

// The path of a family that has no kernels for 16-bit types: it supports no shape of them.
template <class Buffers>
Path<Buffers> no_path_for_16_bits(const char* name) {
  return {name, [](const Conv2dShape&) -> WhyNot { return "it has no kernels for 16-bit types"; },
          always, no_workspace,
          [](const Conv2dShape&, const Buffers&, void*, const Context&) { return false; }};
}

// The path of a driver of backward_weight, which takes a number of threads and is always valid.
template <class T, int64_t (*BYTES)(const Conv2dShape&, int threads),
          void (*RUN)(const Conv2dShape&, const BackwardWeightBuffers<T>&, void* workspace,
                      int threads)>
Path<BackwardWeightBuffers<T>> weight_path(const char* name, WhyNot (*supports)(const Conv2dShape&),
                                           WhyNot (*is_profitable)(const Conv2dShape&)) {
  return {name, supports, is_profitable,
          [](const Conv2dShape& s, const Context& context) { return BYTES(s, context.threads); },
          [](const Conv2dShape& s, const BackwardWeightBuffers<T>& b, void* workspace,
             const Context& context) {
            RUN(s, b, workspace, context.threads);
            return true;
          }};
}

}  // namespace fastconv::cpu
