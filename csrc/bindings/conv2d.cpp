// conv2d for Python: the three directions on addresses, and questions about paths. Layer: bindings.
#include "conv2d.h"

#include <pybind11/stl.h>

#include <limits>
#include <set>
#include <tuple>
#include <vector>

#include "../runtime/conv2d.h"
#include "translate.h"

namespace py = pybind11;

namespace fastconv::bindings {

using runtime::checked_dtype;
using runtime::conv2d_backward_input;
using runtime::conv2d_backward_weight;
using runtime::conv2d_forward;

namespace {

// Calls f with a null pointer whose type names the buffers of a direction and element type.
template <class F>
auto with_direction(const std::string& direction, int dtype, const F& f) {
  return with_element(checked_dtype(dtype), [&](auto zero) {
    using T = decltype(zero);
    if (direction == "forward") return f(static_cast<ForwardBuffers<T>*>(nullptr));
    if (direction == "backward_input") return f(static_cast<BackwardInputBuffers<T>*>(nullptr));
    if (direction == "backward_weight") return f(static_cast<BackwardWeightBuffers<T>*>(nullptr));
    throw std::invalid_argument(
        "direction must be forward, backward_input or backward_weight, got '" + direction + "'");
  });
}
template <class Pointer>
using Pointed = std::remove_pointer_t<Pointer>;

std::vector<std::string> names(const std::string& direction) {
  constexpr int ANY_DTYPE =
      static_cast<int>(DType::float32);  // the lists of all types have the same names
  return with_direction(direction, ANY_DTYPE, [&](auto buffers) {
    std::vector<std::string> all;
    for (const auto& path : runtime::paths<Cpu, Pointed<decltype(buffers)>>())
      all.push_back(path.name);
    return all;
  });
}

std::vector<runtime::PathAnswer> explain(const std::string& direction, int dtype,
                                         const Conv2dShape& shape) {
  return with_direction(direction, dtype, [&](auto buffers) {
    return runtime::explain<Cpu, Pointed<decltype(buffers)>>(shape);
  });
}

int64_t workspace_bytes(const std::string& direction, int dtype, const Conv2dShape& shape,
                        int threads, const std::string& path) {
  const cpu::Context context = checked_context(threads);
  return with_direction(direction, dtype, [&](auto buffers) {
    return runtime::workspace_bytes<Cpu, Pointed<decltype(buffers)>>(shape, context, path);
  });
}

std::pair<int64_t, int64_t> bytes_with_cached_filters(int dtype, const Conv2dShape& shape,
                                                      int threads, const std::string& path) {
  const cpu::Context context = checked_context(threads);
  return with_element(checked_dtype(dtype), [&](auto zero) {
    return runtime::bytes_with_cached_filters<Cpu, decltype(zero)>(shape, context, path);
  });
}

template <class Buffers>
bool can_be_disabled(const std::string& name) {
  for (const auto& path : runtime::paths<Cpu, Buffers>())
    if (path.name == name && path.can_be_disabled) return true;
  return false;
}

// Disables these paths in every direction that has them, and enables all others.
void disable_paths(const std::set<std::string>& all) {
  for (const std::string& name : all)
    if (!can_be_disabled<ForwardBuffers<float>>(name) &&
        !can_be_disabled<BackwardInputBuffers<float>>(name) &&
        !can_be_disabled<BackwardWeightBuffers<float>>(name))
      throw std::invalid_argument("no path that can be disabled is named '" + name + "'");
  runtime::disabled_paths().set(all);
}

void bind_filter_cache(py::module_& m) {
  using runtime::filter_cache;
  m.attr("FILTER_CACHE_BOUND") = runtime::FilterCache::DEFAULT_BOUND;
  m.def("filter_cache_bytes", [] { return filter_cache().bytes(); }, "Bytes in use.");
  m.def("filter_cache_bound", [] { return filter_cache().bound(); }, "Bytes at most.");
  m.def(
      "filter_cache_set_bound", [](int64_t bytes) { filter_cache().set_bound(bytes); },
      py::arg("bytes"), "Evicts what is beyond; with 0 no filters are kept.");
  m.def("filter_cache_clear", [] { filter_cache().clear(); }, "Gives all of it back.");
}

}  // namespace

void bind_conv2d(py::module_& m) {
  using runtime::PathAnswer;
  constexpr double INFINITE = std::numeric_limits<double>::infinity();
  m.def(
      "conv2d_forward",
      [](int dtype, const Conv2dShape& shape, Buffer x, Buffer w, Buffer bias, Buffer y,
         int threads, const std::string& path, bool cache_filters, Buffer addend, double lowest,
         double highest) {
        conv2d_forward(dtype, shape, x, w, {bias, addend, lowest, highest}, y, threads, path,
                       cache_filters);
      },
      py::arg("dtype"), py::arg("shape"), py::arg("x"), py::arg("w"), py::arg("bias"), py::arg("y"),
      py::arg("threads"), py::arg("path") = "", py::arg("cache_filters") = false,
      py::arg("addend") = py::none(), py::arg("lowest") = -INFINITE, py::arg("highest") = INFINITE);
  m.def("conv2d_backward_input", &conv2d_backward_input, py::arg("dtype"), py::arg("shape"),
        py::arg("grad_y"), py::arg("w"), py::arg("grad_x"), py::arg("threads"),
        py::arg("path") = "");
  m.def("conv2d_backward_weight", &conv2d_backward_weight, py::arg("dtype"), py::arg("shape"),
        py::arg("grad_y"), py::arg("x"), py::arg("grad_w"), py::arg("grad_bias"),
        py::arg("threads"), py::arg("path") = "");
  py::class_<PathAnswer>(m, "PathAnswer", py::module_local(), "What a path says of a shape.")
      .def_readonly("name", &PathAnswer::name)
      .def_readonly("supported", &PathAnswer::supported)
      .def_readonly("why_not", &PathAnswer::why_not)
      .def_readonly("chosen", &PathAnswer::chosen)
      .def_property_readonly(
          "nanoseconds",
          [](const PathAnswer& a) -> py::object {
            if (a.estimate.count == 0) return py::none();
            return py::float_(a.estimate.nanoseconds());
          },
          "The estimate of one thread, or None.")
      .def_property_readonly(
          "parts",
          [](const PathAnswer& a) {
            std::vector<std::tuple<std::string, double, double>> all;
            for (int i = 0; i < a.estimate.count; ++i) {
              const Estimate::Part& part = a.estimate.parts[i];
              all.emplace_back(part.work, part.times, part.nanoseconds);
            }
            return all;
          },
          "The parts of the estimate: kind of work, times, nanoseconds of each.")
      .def_readonly("is_plain_sum", &PathAnswer::is_plain_sum)
      .def_readonly("can_be_disabled", &PathAnswer::can_be_disabled);
  m.def("conv2d_paths", &names, py::arg("direction"), "Names of the paths, in order.");
  m.def("conv2d_explain", &explain, py::arg("direction"), py::arg("dtype"), py::arg("shape"),
        "What every path of a direction says of a shape, in order.");
  m.def("conv2d_disable_paths", &disable_paths, py::arg("names"),
        "Keeps these paths, and no others, from being chosen, in every direction that has them.");
  m.def(
      "conv2d_path_is_disabled",
      [](const std::string& name) { return runtime::disabled_paths().has(name.c_str()); },
      py::arg("name"));
  m.def("conv2d_workspace_bytes", &workspace_bytes, py::arg("direction"), py::arg("dtype"),
        py::arg("shape"), py::arg("threads"), py::arg("path") = "",
        "Bytes of workspace of a path, by default the one that runs.");
  m.def("conv2d_bytes_with_cached_filters", &bytes_with_cached_filters, py::arg("dtype"),
        py::arg("shape"), py::arg("threads"), py::arg("path") = "",
        "The same of forward with cache_filters, and bytes of the filters that are kept.");
  bind_filter_cache(m);
}

}  // namespace fastconv::bindings
