// conv2d forward, backward_input, backward_weight on addresses; which path takes a shape, and with
// how much workspace.
#include "conv2d.h"

#include <pybind11/stl.h>

#include <memory>
#include <vector>

#include "../cpu/checksum.h"
#include "../cpu/conv2d.h"
#include "buffers.h"
#include "filter_cache.h"
#include "path_switch.h"

namespace py = pybind11;

namespace fastconv::bindings {
namespace {

using cpu::BackwardInputBuffers;
using cpu::BackwardWeightBuffers;
using cpu::Conv2dPath;
using cpu::ForwardBuffers;

// Whether a path is the one to run a shape, if those before it are not.
template <class Path>
bool suits(const Path& path, const Conv2dShape& shape) {
  return path.accepts(shape) && path.pays(shape) && !switched_off().has(path.name);
}

template <template <class> class Buffers, class T>
const Conv2dPath<Buffers<T>>& choose(const Conv2dShape& shape, const std::string& name) {
  for (const auto& path : cpu::conv2d_paths<Buffers<T>>()) {
    if (name.empty() ? suits(path, shape) : path.name == name) {
      if (!path.accepts(shape))
        throw std::invalid_argument("path '" + name + "' does not take this shape");
      return path;
    }
  }
  throw std::invalid_argument("no path is named '" + name + "'");
}

// The first plain sum behind `path`: what runs where its result does not stand.
template <class Buffers>
const Conv2dPath<Buffers>& plain_sum_behind(const Conv2dPath<Buffers>& path,
                                            const Conv2dShape& shape) {
  const Conv2dPath<Buffers>* next = &path + 1;
  while (!next->plain_sum || !next->accepts(shape)) ++next;
  return *next;
}

// Runs `path`, and again by plain sums if its result does not stand.
template <class Buffers>
void run_until_it_stands(const Conv2dPath<Buffers>& path, const Conv2dShape& shape,
                         const Buffers& io, void* space, int threads) {
  if (path.run(shape, io, space, threads)) return;
  const auto& plain = plain_sum_behind(path, shape);
  plain.run(shape, io, workspace(plain.workspace_bytes(shape, threads)), threads);
}

template <class Buffers>
void run(const Conv2dPath<Buffers>& path, const Conv2dShape& shape, const Buffers& io,
         int threads) {
  check_threads(threads);
  const ReleaseGil nogil(shape.multiply_adds());
  const TrimWorkspace trim;
  run_until_it_stands(path, shape, io, workspace(path.workspace_bytes(shape, threads)), threads);
}

// Whether the path has a use for cached filters of this shape, and they are not too many.
template <class T>
bool cacheable(const Conv2dPath<ForwardBuffers<T>>& path, const Conv2dShape& shape) {
  const auto* ready = path.ready_filters;
  const int64_t bytes = ready ? ready->bytes(shape) : 0;
  return 0 < bytes && bytes <= filter_cache().bound();
}

// From the cache, or made now and put there.
template <class T>
FilterCache::Filters filters_of(const cpu::ReadyFilters<ForwardBuffers<T>>& ready,
                                const Conv2dShape& s, const ForwardBuffers<T>& io, void* space,
                                int threads) {
  // All that filters depend on but the content of w; `ready` stands for path and element type, and
  // the instruction set is one for the process.
  const FilterCache::Key key{reinterpret_cast<intptr_t>(io.w),
                             reinterpret_cast<intptr_t>(&ready),
                             s.OC,
                             s.group_IC(),
                             s.KH,
                             s.KW,
                             s.groups,
                             s.w_channels_last,
                             ready.kind(s)};
  const auto content = [&] {
    return cpu::checksum(io.w, s.w_count() * int64_t(sizeof(T)), threads);
  };
  const uint64_t sum = content();
  if (FilterCache::Filters found = filter_cache().find(key, sum)) return found;
  const int64_t bytes = ready.bytes(s);
  FilterCache::Filters filters = allocate(bytes);
  ready.transform(s, io, filters.get(), space, threads);
  // Not if another thread has written to w meanwhile.
  if (content() == sum) filter_cache().insert(key, sum, bytes, filters);
  return filters;
}

// With filters from the cache, of a path that is cacheable.
template <class T>
void run_ready(const Conv2dPath<ForwardBuffers<T>>& path, const Conv2dShape& s,
               ForwardBuffers<T> io, int threads) {
  check_threads(threads);
  const ReleaseGil nogil(s.multiply_adds());
  const TrimWorkspace trim;
  void* space = workspace(path.ready_filters->workspace_bytes(s, threads));
  const FilterCache::Filters filters = filters_of(*path.ready_filters, s, io, space, threads);
  io.filters = static_cast<const T*>(filters.get());
  run_until_it_stands(path, s, io, space, threads);
}

}  // namespace

void conv2d_forward(int dtype, const Conv2dShape& s, uintptr_t x, int64_t x_count, uintptr_t w,
                    int64_t w_count, uintptr_t bias, int64_t bias_count, uintptr_t y,
                    int64_t y_count, int threads, const std::string& path, bool cache_filters) {
  with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const ForwardBuffers<T> io{buffer<const T>("x", x, x_count, s.x_count()),
                               buffer<const T>("w", w, w_count, s.w_count()),
                               buffer<const T>("bias", bias, bias_count, s.OC, true),
                               output<T>("y", y, y_count, s.y_count())};
    const auto& taken = choose<ForwardBuffers, T>(s, path);
    if (cache_filters && cacheable(taken, s))
      run_ready(taken, s, io, threads);
    else
      run(taken, s, io, threads);
  });
}

void conv2d_backward_input(int dtype, const Conv2dShape& s, uintptr_t grad_y, int64_t grad_y_count,
                           uintptr_t w, int64_t w_count, uintptr_t grad_x, int64_t grad_x_count,
                           int threads, const std::string& path) {
  with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const BackwardInputBuffers<T> io{buffer<const T>("grad_y", grad_y, grad_y_count, s.y_count()),
                                     buffer<const T>("w", w, w_count, s.w_count()),
                                     output<T>("grad_x", grad_x, grad_x_count, s.x_count())};
    run(choose<BackwardInputBuffers, T>(s, path), s, io, threads);
  });
}

void conv2d_backward_weight(int dtype, const Conv2dShape& s, uintptr_t grad_y, int64_t grad_y_count,
                            uintptr_t x, int64_t x_count, uintptr_t grad_w, int64_t grad_w_count,
                            uintptr_t grad_bias, int64_t grad_bias_count, int threads,
                            const std::string& path) {
  with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const BackwardWeightBuffers<T> io{
        buffer<const T>("grad_y", grad_y, grad_y_count, s.y_count()),
        buffer<const T>("x", x, x_count, s.x_count()),
        output<T>("grad_w", grad_w, grad_w_count, s.w_count()),
        output<T>("grad_bias", grad_bias, grad_bias_count, s.OC, true)};
    run(choose<BackwardWeightBuffers, T>(s, path), s, io, threads);
  });
}

namespace {

// Calls f with the path list of a direction.
template <class T, class F>
auto with_paths(const std::string& direction, const F& f) {
  if (direction == "forward") return f(cpu::conv2d_paths<ForwardBuffers<T>>());
  if (direction == "backward_input") return f(cpu::conv2d_paths<BackwardInputBuffers<T>>());
  if (direction == "backward_weight") return f(cpu::conv2d_paths<BackwardWeightBuffers<T>>());
  throw std::invalid_argument(
      "direction must be forward, backward_input or backward_weight, got '" + direction + "'");
}

std::vector<std::string> paths(const std::string& direction) {
  return with_paths<float>(direction, [](const auto& list) {
    std::vector<std::string> names;
    for (const auto& path : list) names.push_back(path.name);
    return names;
  });
}

std::vector<std::string> accepting(const std::string& direction, const Conv2dShape& shape) {
  return with_paths<float>(direction, [&](const auto& list) {
    std::vector<std::string> names;
    for (const auto& path : list)
      if (path.accepts(shape)) names.push_back(path.name);
    return names;
  });
}

std::string chosen(const std::string& direction, const Conv2dShape& shape) {
  return with_paths<float>(direction, [&](const auto& list) {
    for (const auto& path : list)
      if (suits(path, shape)) return std::string(path.name);
    return std::string();
  });
}

// `name`: of a path, or "" for the one that runs. A plain sum that runs in its stead, where the
// result does not stand, asks for its own.
int64_t workspace_bytes(const std::string& direction, int dtype, const Conv2dShape& shape,
                        int threads, const std::string& name) {
  check_threads(threads);
  return with_dtype(dtype, [&](auto zero) {
    return with_paths<decltype(zero)>(direction, [&](const auto& list) {
      for (const auto& path : list)
        if (name.empty() ? suits(path, shape) : path.name == name)
          return path.workspace_bytes(shape, threads);
      return int64_t(0);
    });
  });
}

// Of forward with cache_filters: bytes of workspace and of the filters in the cache.
std::pair<int64_t, int64_t> cached_bytes(int dtype, const Conv2dShape& shape, int threads,
                                         const std::string& name) {
  check_threads(threads);
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto& path = choose<ForwardBuffers, T>(shape, name);
    if (!cacheable(path, shape)) return std::pair(path.workspace_bytes(shape, threads), int64_t(0));
    const auto& ready = *path.ready_filters;
    return std::pair(ready.workspace_bytes(shape, threads), ready.bytes(shape));
  });
}

// The paths in front of the last, which runs what all others decline.
void switch_path(const std::string& name, bool on) {
  bool known = false;
  with_paths<float>("forward", [&](const auto& list) {
    for (const auto& path : list) known |= path.name == name && &path != list.end() - 1;
  });
  if (!known) throw std::invalid_argument("no path that can be switched is named '" + name + "'");
  switched_off().set(name, !on);
}

}  // namespace

void bind_conv2d(py::module_& m) {
  m.def("conv2d_forward", &conv2d_forward, py::arg("dtype"), py::arg("shape"), py::arg("x"),
        py::arg("x_count"), py::arg("w"), py::arg("w_count"), py::arg("bias"),
        py::arg("bias_count"), py::arg("y"), py::arg("y_count"), py::arg("threads"),
        py::arg("path") = "", py::arg("cache_filters") = false);
  m.def("conv2d_backward_input", &conv2d_backward_input, py::arg("dtype"), py::arg("shape"),
        py::arg("grad_y"), py::arg("grad_y_count"), py::arg("w"), py::arg("w_count"),
        py::arg("grad_x"), py::arg("grad_x_count"), py::arg("threads"), py::arg("path") = "");
  m.def("conv2d_backward_weight", &conv2d_backward_weight, py::arg("dtype"), py::arg("shape"),
        py::arg("grad_y"), py::arg("grad_y_count"), py::arg("x"), py::arg("x_count"),
        py::arg("grad_w"), py::arg("grad_w_count"), py::arg("grad_bias"),
        py::arg("grad_bias_count"), py::arg("threads"), py::arg("path") = "");
  m.def("conv2d_paths", &paths, py::arg("direction"),
        "Names of the paths of a direction, in order.");
  m.def("conv2d_accepting_paths", &accepting, py::arg("direction"), py::arg("shape"),
        "Names of the paths that can run the shape.");
  m.def("conv2d_path", &chosen, py::arg("direction"), py::arg("shape"),
        "Name of the path that runs the shape.");
  m.def("conv2d_switch_path", &switch_path, py::arg("name"), py::arg("on"),
        "Lets a path be chosen, or not, in every direction.");
  m.def(
      "conv2d_path_is_on", [](const std::string& name) { return !switched_off().has(name); },
      py::arg("name"), "Whether a path may be chosen.");
  m.def("conv2d_workspace_bytes", &workspace_bytes, py::arg("direction"), py::arg("dtype"),
        py::arg("shape"), py::arg("threads"), py::arg("path") = "",
        "Bytes of workspace of a path, by default the one that runs.");
  m.def("conv2d_cached_bytes", &cached_bytes, py::arg("dtype"), py::arg("shape"),
        py::arg("threads"), py::arg("path") = "",
        "The same of forward with cache_filters, and bytes of the filters in the cache.");
  m.def(
      "checksum",
      [](uintptr_t data, int64_t bytes, int threads) {
        check_threads(threads);
        return cpu::checksum(reinterpret_cast<const void*>(data), bytes, threads);
      },
      py::arg("data"), py::arg("bytes"), py::arg("threads"),
      "What tells the filter cache that memory has changed, for tests.");
  m.attr("FILTER_CACHE_BOUND") = FilterCache::DEFAULT_BOUND;
  m.def("filter_cache_bytes", [] { return filter_cache().bytes(); }, "Bytes in use.");
  m.def("filter_cache_bound", [] { return filter_cache().bound(); }, "Bytes at most.");
  m.def(
      "filter_cache_set_bound", [](int64_t bytes) { filter_cache().set_bound(bytes); },
      py::arg("bytes"), "Evicts what is beyond; with 0 no filters are kept.");
  m.def("filter_cache_clear", [] { filter_cache().clear(); }, "Gives all of it back.");
}

}  // namespace fastconv::bindings
