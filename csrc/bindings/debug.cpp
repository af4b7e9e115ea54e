// Functions for tests and benchmarks: Winograd's transforms on one tile, its time by stage, and the
// checksum of the filter cache. Layer: bindings (fastconv._debug).
#include "debug.h"

#include <pybind11/stl.h>

#include <array>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "../cpu/simd/table.h"
#include "../cpu/winograd/table.h"
#include "../cpu/winograd/winograd.h"
#include "../runtime/conv2d.h"
#include "translate.h"

namespace py = pybind11;

namespace fastconv::bindings {
namespace {

// Transforms `values`, the pixels (or taps) of a tile row by row or its 36 points, to the other
// form.
std::vector<double> transform(const std::string& name, int K, const std::vector<double>& values) {
  if (K != 3 && K != 5) throw std::invalid_argument("K must be 3 or 5");
  const auto& winograd = cpu::winograd_kernels<double>(cpu::isa()).transforms(K);
  const int points = cpu::WINOGRAD_POINTS, out = cpu::outputs_of_tile(K);
  int pixels = 0;
  void (*to)(const cpu::WinogradTiles<double>&) = nullptr;
  bool (*from)(const cpu::WinogradTiles<double>&) = nullptr;
  if (name == "input") pixels = points, to = winograd.input;
  if (name == "filter") pixels = K, to = winograd.filter;
  if (name == "output_gradient") pixels = out, to = winograd.output_gradient;
  if (name == "output") pixels = out, from = winograd.output;
  if (name == "filter_gradient") pixels = K, from = winograd.filter_gradient;
  if (!to && !from) throw std::invalid_argument("no transform is named '" + name + "'");
  const size_t count_in = from ? points * points : pixels * pixels;
  const size_t count_out = from ? pixels * pixels : points * points;
  if (values.size() != count_in)
    throw std::invalid_argument("expected " + std::to_string(count_in) + " values, got " +
                                std::to_string(values.size()));

  const int lanes = cpu::row_kernels<double>(cpu::isa()).lanes;
  std::vector<double> in(count_in * lanes), result(count_out * lanes);
  for (size_t i = 0; i < count_in; ++i) in[i * lanes] = values[i];
  cpu::WinogradTiles<double> tile{};
  tile.count = 1;
  tile.pixels_in = tile.points_in = in.data();
  tile.pixels_out = tile.points_out = result.data();
  tile.pixel_row = pixels * lanes;
  tile.point = lanes;
  if (to)
    to(tile);
  else
    from(tile);
  std::vector<double> first_lane(count_out);
  for (size_t i = 0; i < count_out; ++i) first_lane[i] = result[i * lanes];
  return first_lane;
}

using Seconds = std::vector<cpu::WinogradSeconds>;

// Runs a direction once, on x, w and y of the shape or their gradients.
template <class T>
void run(const std::string& direction, const Conv2dShape& s, T* x, T* w, T* y, int threads,
         Seconds& seconds) {
  const bool forward = direction == "forward";
  if (direction == "backward_weight") {
    const auto conv = cpu::winograd_forward(s);
    void* space = runtime::workspace(cpu::winograd_weight_workspace_bytes<T>(conv, threads));
    cpu::winograd_weight<T>(conv, {y, x, w, nullptr}, space, threads, seconds.data());
  } else if (forward || direction == "backward_input") {
    const auto conv = forward ? cpu::winograd_forward(s) : cpu::winograd_backward_input(s);
    void* space = runtime::workspace(cpu::winograd_workspace_bytes<T>(conv, threads, false));
    const cpu::WinogradBuffers<T> buffers{forward ? x : y, w, {}, forward ? y : x, nullptr};
    cpu::winograd<T>(conv, buffers, space, threads, seconds.data());
  } else {
    throw std::invalid_argument("no direction is named '" + direction + "'");
  }
}

std::map<std::string, double> stages(const std::string& direction, int dtype, const Conv2dShape& s,
                                     int threads, int rounds) {
  checked_context(threads);
  if (rounds < 1) throw std::invalid_argument("rounds must be positive");
  if (const WhyNot why = cpu::winograd_forward_path<float>().supports(s))
    throw std::invalid_argument(std::string("Winograd does not support this shape: ") + why);
  std::array<double, cpu::WINOGRAD_STAGES> fastest{};
  double least = std::numeric_limits<double>::infinity();
  with_element(runtime::checked_dtype(dtype), [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> x(s.x_count(), T(0.5)), w(s.w_count(), T(0.25)), y(s.y_count(), T(0.125));
    const py::gil_scoped_release nogil;
    const runtime::TrimWorkspace trim;
    for (int round = 0; round <= rounds; ++round) {
      Seconds seconds(threads);
      run(direction, s, x.data(), w.data(), y.data(), threads, seconds);
      std::array<double, cpu::WINOGRAD_STAGES> sums{};
      for (const auto& thread : seconds)
        for (int stage = 0; stage < cpu::WINOGRAD_STAGES; ++stage) sums[stage] += thread.of[stage];
      const double whole = std::accumulate(sums.begin(), sums.end(), 0.0);
      if (round == 0 || whole >= least) continue;  // the first only warms up
      least = whole;
      fastest = sums;
    }
  });
  return {{"input transform", fastest[cpu::INPUT_TRANSFORM]},
          {"filter transform", fastest[cpu::FILTER_TRANSFORM]},
          {"product", fastest[cpu::PRODUCT]},
          {"output transform", fastest[cpu::OUTPUT_TRANSFORM]}};
}

}  // namespace

void bind_debug(py::module_& m) {
  m.def(
      "checksum",
      [](uintptr_t data, int64_t bytes, int threads) {
        return Cpu::checksum(reinterpret_cast<const void*>(data), bytes, checked_context(threads));
      },
      py::arg("data"), py::arg("bytes"), py::arg("threads"),
      "What tells the filter cache that memory has changed.");
  m.def("winograd_transform", &transform, py::arg("name"), py::arg("K"), py::arg("values"),
        "One tile through the transform input, filter, output, output_gradient or filter_gradient "
        "of a K x K filter.");
  m.def("winograd_stages", &stages, py::arg("direction"), py::arg("dtype"), py::arg("shape"),
        py::arg("threads"), py::arg("rounds"),
        "Seconds by stage, of all threads together, of a run on constant tensors: the fastest of "
        "`rounds`.");
}

}  // namespace fastconv::bindings
