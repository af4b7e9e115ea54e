// Contract of conv2d on raw pointers (formula: ../shape.h), and its path lists. Layer: cpu.
// The first path of a list that accepts a shape and pays for it runs it; the last, the plain loop
// nest, does for every shape.
#pragma once

#include <cstdint>

#include "../shape.h"

namespace fastconv::cpu {

template <class T>
struct ForwardBuffers {
  const T* x;
  const T* w;
  const T* bias;  // [OC], or null
  T* y;
  const T* filters = nullptr;  // what ReadyFilters::transform left, or null
};

// grad_x[n,ic,ih,iw] = sum over oc,kh,kw of w[oc,ic,kh,kw] * grad_y[n,oc,oh,ow], wherever (ih, iw)
// is under (oh, ow)
template <class T>
struct BackwardInputBuffers {
  const T* grad_y;
  const T* w;
  T* grad_x;
};

// grad_w[oc,ic,kh,kw] = sum over n,oh,ow of grad_y[n,oc,oh,ow] * x[n,ic,ih,iw];  grad_bias[oc] =
// sum of grad_y[n,oc,oh,ow]
template <class T>
struct BackwardWeightBuffers {
  const T* grad_y;
  const T* x;
  T* grad_w;
  T* grad_bias;  // or null
};

// Filters as a path wants them, made once for many calls with the same w. They depend on w, its
// extents and layout, groups, and their kind, not else on x.
template <class Buffers>
struct ReadyFilters {
  int (*kind)(const Conv2dShape&);
  int64_t (*bytes)(const Conv2dShape&);
  // For `transform`, and for the path's run with buffers.filters.
  int64_t (*workspace_bytes)(const Conv2dShape&, int threads);
  void (*transform)(const Conv2dShape&, const Buffers&, void* filters, void* workspace,
                    int threads);
};

template <class Buffers>
struct Conv2dPath {
  const char* name;
  bool (*accepts)(const Conv2dShape&);  // can run it
  bool (*pays)(const Conv2dShape&);     // is expected to run it faster than the paths that follow
  int64_t (*workspace_bytes)(const Conv2dShape&, int threads);
  // `workspace`: workspace_bytes(shape, threads) bytes aligned to a cache line. Results do not
  // depend on `threads`. Returns whether the result stands: a path that is no plain sum returns
  // false where a result is NaN, infinite or very large, and the next plain sum of the list is to run
  // instead.
  bool (*run)(const Conv2dShape&, const Buffers&, void* workspace, int threads);
  // Whether every result is the sum of its own products and nothing else, so that a NaN, an infinity
  // or a large value reaches the results that it is a term of, and no others.
  bool plain_sum = true;
  const ReadyFilters<Buffers>* ready_filters = nullptr;  // null: it takes w as it is
};

template <class Buffers>
struct Conv2dPaths {
  const Conv2dPath<Buffers>* first;
  int count;

  const Conv2dPath<Buffers>* begin() const { return first; }
  const Conv2dPath<Buffers>* end() const { return first + count; }
};

// Instantiated for the buffers of float and double.
template <class Buffers>
Conv2dPaths<Buffers> conv2d_paths();

}  // namespace fastconv::cpu
