// The pools for Python, on addresses. Layer: bindings.
#include "pool2d.h"

#include "translate.h"

namespace py = pybind11;

namespace fastconv::bindings {

using runtime::avg_pool2d_backward;
using runtime::avg_pool2d_forward;
using runtime::max_pool2d_backward;
using runtime::max_pool2d_forward;
using runtime::max_pool2d_indices;
using runtime::max_unpool_backward;
using runtime::max_unpool_forward;

void bind_pool2d(py::module_& m) {
  m.def("max_pool2d_forward", &max_pool2d_forward, py::arg("dtype"), py::arg("shape"), py::arg("x"),
        py::arg("y"), py::arg("codes"), py::arg("threads"));
  m.def("max_pool2d_indices", &max_pool2d_indices, py::arg("shape"), py::arg("codes"),
        py::arg("indices"), py::arg("threads"));
  m.def("max_pool2d_backward", &max_pool2d_backward, py::arg("dtype"), py::arg("shape"),
        py::arg("grad_y"), py::arg("codes"), py::arg("grad_x"), py::arg("threads"));
  m.def("avg_pool2d_forward", &avg_pool2d_forward, py::arg("dtype"), py::arg("shape"), py::arg("x"),
        py::arg("y"), py::arg("threads"));
  m.def("avg_pool2d_backward", &avg_pool2d_backward, py::arg("dtype"), py::arg("shape"),
        py::arg("grad_y"), py::arg("grad_x"), py::arg("threads"));
  m.def("max_unpool_forward", &max_unpool_forward, py::arg("dtype"), py::arg("shape"), py::arg("x"),
        py::arg("indices"), py::arg("y"), py::arg("threads"));
  m.def("max_unpool_backward", &max_unpool_backward, py::arg("dtype"), py::arg("shape"),
        py::arg("grad_y"), py::arg("indices"), py::arg("grad_x"), py::arg("threads"));
}

}  // namespace fastconv::bindings
