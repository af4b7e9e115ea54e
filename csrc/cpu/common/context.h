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

}  // namespace fastconv::cpu
