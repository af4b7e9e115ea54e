// Conv2dShape, Pool2dShape and UnpoolShape for Python. Layer: bindings.
#include "shapes.h"

#include <pybind11/stl.h>

#include "../runtime/shapes.h"
#include "../runtime/verbose.h"

namespace py = pybind11;

namespace fastconv::bindings {

using runtime::make_adaptive_shape;
using runtime::make_conv2d_shape;
using runtime::make_pool2d_shape;
using runtime::Pair;

void bind_shapes(py::module_& m) {
  py::class_<Conv2dShape>(m, "Conv2dShape", py::module_local(),
                          "Extents of one convolution; padding is (top, bottom, left, right).")
      .def(py::init(&make_conv2d_shape), py::arg("input"), py::arg("weight"), py::arg("stride"),
           py::arg("padding"), py::arg("dilation"), py::arg("groups"),
           py::arg("x_channels_last") = false, py::arg("w_channels_last") = false,
           py::arg("y_channels_last") = false)
      .def_readonly("N", &Conv2dShape::N)
      .def_readonly("IC", &Conv2dShape::IC)
      .def_readonly("IH", &Conv2dShape::IH)
      .def_readonly("IW", &Conv2dShape::IW)
      .def_readonly("OC", &Conv2dShape::OC)
      .def_readonly("KH", &Conv2dShape::KH)
      .def_readonly("KW", &Conv2dShape::KW)
      .def_property_readonly("OH", &Conv2dShape::OH)
      .def_property_readonly("OW", &Conv2dShape::OW)
      .def_property_readonly("terms", &Conv2dShape::terms)
      .def_property_readonly("multiply_adds", &Conv2dShape::multiply_adds)
      .def("__str__", [](const Conv2dShape& s) { return runtime::describe(s); });
  py::class_<Pool2dShape>(m, "Pool2dShape", py::module_local(), "Extents of one pooling.")
      .def(py::init(&make_pool2d_shape), py::arg("input"), py::arg("kernel"), py::arg("stride"),
           py::arg("padding"), py::arg("dilation") = Pair{1, 1}, py::arg("ceil_mode") = false,
           py::arg("count_include_pad") = true, py::arg("divisor_override") = 0,
           py::arg("channels_last") = false)
      .def_static("adaptive", &make_adaptive_shape, py::arg("input"), py::arg("output"),
                  py::arg("channels_last") = false)
      .def_readonly("N", &Pool2dShape::N)
      .def_readonly("C", &Pool2dShape::C)
      .def_readonly("IH", &Pool2dShape::IH)
      .def_readonly("IW", &Pool2dShape::IW)
      .def_readonly("OH", &Pool2dShape::OH)
      .def_readonly("OW", &Pool2dShape::OW)
      .def_readonly("KH", &Pool2dShape::KH)
      .def_readonly("KW", &Pool2dShape::KW)
      .def_property_readonly("byte_codes", &Pool2dShape::byte_codes)
      .def("__str__", [](const Pool2dShape& s) { return runtime::describe(s); });
  py::class_<UnpoolShape>(m, "UnpoolShape", py::module_local(), "Extents of one max_unpool.")
      .def(py::init(&runtime::make_unpool_shape), py::arg("input"), py::arg("output"),
           py::arg("channels_last") = false)
      .def("__str__", [](const UnpoolShape& s) { return runtime::describe(s); });
}

}  // namespace fastconv::bindings
