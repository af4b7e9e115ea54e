// Contract of conv2d on raw pointers, the same for every device (formula: shape.h): the buffers of
// each direction, and what a path is. Layer: core.
//
// A path is one way of computing a direction for some shapes. A device has an ordered list of paths
// for each direction. The first path that supports a shape and is profitable for it runs; the last
// path, a plain loop nest, supports every shape.
#pragma once

#include <cstdint>

#include "shape.h"

namespace fastconv {

template <class T>
struct ForwardBuffers {
  using Element = T;
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
  using Element = T;
  const T* grad_y;
  const T* w;
  T* grad_x;
};

// grad_w[oc,ic,kh,kw] = sum over n,oh,ow of grad_y[n,oc,oh,ow] * x[n,ic,ih,iw];  grad_bias[oc] =
// sum of grad_y[n,oc,oh,ow]
template <class T>
struct BackwardWeightBuffers {
  using Element = T;
  const T* grad_y;
  const T* x;
  T* grad_w;
  T* grad_bias;  // or null
};

// Weights as a path wants them, transformed once for many calls with the same w. They depend on w,
// its extents and layout, groups, and their kind, and not else on x.
template <class Buffers, class Context>
struct ReadyFilters {
  int (*kind)(const Conv2dShape&);
  int64_t (*bytes)(const Conv2dShape&);
  // For `transform`, and for the path's run with buffers.filters.
  int64_t (*workspace_bytes)(const Conv2dShape&, const Context&);
  void (*transform)(const Conv2dShape&, const Buffers&, void* filters, void* workspace,
                    const Context&);
};

// The answer of a condition: null if it holds, else a few words that say why not.
using WhyNot = const char*;
constexpr WhyNot HOLDS = nullptr;

// Context: what a device needs beside addresses; each device defines its own.
template <class Buffers, class Context>
struct Conv2dPath {
  const char* name;
  WhyNot (*supports)(const Conv2dShape&);       // can run the shape
  WhyNot (*is_profitable)(const Conv2dShape&);  // is expected to be faster than the paths below
  int64_t (*workspace_bytes)(const Conv2dShape&, const Context&);
  // `workspace`: workspace_bytes(shape, context) bytes aligned to a cache line. Returns whether the
  // result stands: a path that is no plain sum returns false where a result is NaN, infinite or very
  // large, and the next plain sum of the list is to run instead.
  bool (*run)(const Conv2dShape&, const Buffers&, void* workspace, const Context&);
  // Whether every result is the sum of its own products and nothing else, so that a NaN, an infinity
  // or a large value reaches the results that it is a term of, and no others.
  bool is_plain_sum = true;
  bool can_be_disabled = true;                                    // by fastconv.flags
  const ReadyFilters<Buffers, Context>* ready_filters = nullptr;  // null: it takes w as it is
};

template <class Buffers, class Context>
struct Conv2dPaths {
  using Path = Conv2dPath<Buffers, Context>;
  const Path* first;
  int64_t count;

  template <int64_t COUNT>
  constexpr explicit Conv2dPaths(const Path (&paths)[COUNT]) : first(paths), count(COUNT) {}
  const Path* begin() const { return first; }
  const Path* end() const { return first + count; }
};

}  // namespace fastconv
