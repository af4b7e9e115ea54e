// Winograd's transforms on one tile of float64, for tests.
#include "winograd.h"

#include <pybind11/stl.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "../cpu/kernels.h"

namespace py = pybind11;

namespace fastconv::bindings {
namespace {

// `values`: the pixels (or taps) of a tile row by row, or its 36 points; the other comes back.
std::vector<double> transform(const std::string& name, int K, const std::vector<double>& values) {
  const auto& kernels = cpu::kernels<double>();
  if (K != 3 && K != 5) throw std::invalid_argument("K must be 3 or 5");
  const auto& winograd = K == 3 ? kernels.winograd_3x3 : kernels.winograd_5x5;
  const int points = cpu::WINOGRAD_POINTS, out = points + 1 - K;
  int pixels = 0;
  bool from_points = false;
  void (*run)(const cpu::WinogradTiles<double>&) = nullptr;
  if (name == "input") pixels = points, run = winograd.input;
  if (name == "filter") pixels = K, run = winograd.filter;
  if (name == "output_gradient") pixels = out, run = winograd.output_gradient;
  if (name == "output") pixels = out, from_points = true, run = winograd.output;
  if (name == "filter_gradient") pixels = K, from_points = true, run = winograd.filter_gradient;
  if (!run) throw std::invalid_argument("no transform is named '" + name + "'");
  const size_t from = from_points ? points * points : pixels * pixels;
  const size_t to = from_points ? pixels * pixels : points * points;
  if (values.size() != from)
    throw std::invalid_argument("expected " + std::to_string(from) + " values, got " +
                                std::to_string(values.size()));

  const int lanes = kernels.lanes;
  std::vector<double> in(from * lanes), result(to * lanes);
  for (size_t i = 0; i < from; ++i) in[i * lanes] = values[i];
  cpu::WinogradTiles<double> tile{};
  tile.count = 1;
  tile.pixels_in = tile.points_in = in.data();
  tile.pixels_out = tile.points_out = result.data();
  tile.pixel_row = pixels * lanes;
  tile.point = lanes;
  run(tile);
  std::vector<double> first_lane(to);
  for (size_t i = 0; i < to; ++i) first_lane[i] = result[i * lanes];
  return first_lane;
}

}  // namespace

void bind_winograd(py::module_& m) {
  m.def("winograd_transform", &transform, py::arg("name"), py::arg("K"), py::arg("values"),
        "One tile through the transform input, filter, output, output_gradient or filter_gradient "
        "of a K x K filter.");
}

}  // namespace fastconv::bindings
