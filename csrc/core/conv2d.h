// Contract of conv2d on raw pointers (formula: shape.h), the same for every device: the buffers of
// each direction, and the path. Layer: core.
#pragma once

#include <cstdint>
#include <limits>

#include "dtype.h"
#include "shape.h"

namespace fastconv {

// What becomes of a sum before it is stored. It is computed in the type of sums and rounded once:
//   y[n,oc,oh,ow] = clamp(sum + bias[oc] + addend[n,oc,oh,ow])
//   clamp(v) = min(max(v, lowest), highest), and a NaN stays a NaN
// A ReLU has lowest 0, a ReLU6 has highest 6 too. Infinite bounds change nothing.
template <class T>
struct Epilogue {
  const T* bias = nullptr;    // [OC], or null
  const T* addend = nullptr;  // of the extents and strides of y, and no part of y; or null
  SumOf<T> lowest = -std::numeric_limits<SumOf<T>>::infinity();
  SumOf<T> highest = std::numeric_limits<SumOf<T>>::infinity();
};

template <class T>
struct ForwardBuffers {
  using Element = T;
  const T* x;
  const T* w;
  Epilogue<T> epilogue;
  T* y;
  const SumOf<T>* transformed_filters =
      nullptr;  // the output of TransformedFilters::transform, or null
};

// grad_x[n,ic,ih,iw] = sum of w[oc,ic,kh,kw] * grad_y[n,oc,oh,ow] over the oc,kh,kw,oh,ow for which
// y[n,oc,oh,ow] uses x[n,ic,ih,iw] with tap (kh, kw)
template <class T>
struct BackwardInputBuffers {
  using Element = T;
  const T* grad_y;
  const T* w;
  T* grad_x;
};

// grad_w[oc,ic,kh,kw] = sum over n,oh,ow of grad_y[n,oc,oh,ow] * x[n,ic,ih,iw]
// grad_bias[oc] = sum over n,oh,ow of grad_y[n,oc,oh,ow]
template <class T>
struct BackwardWeightBuffers {
  using Element = T;
  const T* grad_y;
  const T* x;
  T* grad_w;
  T* grad_bias;  // or null
};

// How a path transforms filters once, for many calls with the same w. The result depends on w, its
// extents and layout, groups and `kind`, and on nothing else of the shape.
template <class Buffers, class Context>
struct TransformedFilters {
  int (*kind)(const Conv2dShape&);
  int64_t (*bytes)(const Conv2dShape&);
  // The workspace of `transform`, and of the path's run with buffers.transformed_filters.
  int64_t (*workspace_bytes)(const Conv2dShape&, const Context&);
  void (*transform)(const Conv2dShape&, const Buffers&, void* filters, void* workspace,
                    const Context&);
};

// The answer to a condition: null if it holds, else a few words that say why not.
using WhyNot = const char*;
constexpr WhyNot HOLDS = nullptr;

// How long a path is expected to take with one thread: how often it does each kind of work, and the
// time of one such work.
struct Estimate {
  struct Part {
    const char* work;
    double times, nanoseconds;
  };
  static constexpr int MOST_PARTS = 20;
  Part parts[MOST_PARTS];
  int count = 0;

  double nanoseconds() const {
    double sum = 0;
    for (int i = 0; i < count; ++i) sum += parts[i].times * parts[i].nanoseconds;
    return sum;
  }
};

// A path is one way of computing a direction for some shapes. A device has an ordered list of paths
// for each direction. Of the paths that support a shape and are profitable for it, the first that
// needs no estimate runs, else the one whose estimate is the least. The last path, a plain loop nest,
// supports every shape. Each device defines its own Context.
template <class Buffers, class Context>
struct Conv2dPath {
  const char* name;
  WhyNot (*supports)(const Conv2dShape&);       // can run the shape
  WhyNot (*is_profitable)(const Conv2dShape&);  // is expected to be faster, if it has no estimate
  int64_t (*workspace_bytes)(const Conv2dShape&, const Context&);
  // `workspace` has workspace_bytes(shape, context) bytes and is aligned to a cache line. Returns
  // whether the result is valid. A path that is no plain sum returns false if a result is NaN,
  // infinite or very large; the caller then runs the next plain sum of the list.
  bool (*run)(const Conv2dShape&, const Buffers&, void* workspace, const Context&);
  // Whether every result is the sum of its own products and nothing else. A NaN, an infinity or a
  // large value then reaches the results that it is a term of, and no others.
  bool is_plain_sum = true;
  bool can_be_disabled = true;  // by fastconv.flags
  // Null: the path reads w itself.
  const TransformedFilters<Buffers, Context>* transformed_filters = nullptr;
  Estimate (*estimate)(const Conv2dShape&) = nullptr;  // null: is_profitable decides
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
