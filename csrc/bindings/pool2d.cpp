// max_pool2d and avg_pool2d with their gradients, on addresses.
#include "pool2d.h"

#include "../cpu/pool2d.h"
#include "buffers.h"

namespace py = pybind11;

namespace fastconv::bindings {
namespace {

// Calls f(Code{}) with the type of the shape's codes.
template <class F>
void with_codes(const Pool2dShape& s, const F& f) {
  if (s.byte_codes())
    f(uint8_t{});
  else
    f(int32_t{});
}

void max_pool2d_indices(const Pool2dShape& s, uintptr_t codes, int64_t codes_count,
                        uintptr_t indices, int64_t indices_count, int threads) {
  check_threads(threads);
  with_codes(s, [&](auto code) {
    const auto* from = buffer<const decltype(code)>("codes", codes, codes_count, s.y_count());
    auto* to = output<int64_t>("indices", indices, indices_count, s.y_count());
    const ReleaseGil nogil(s.y_count());
    cpu::max_pool2d_indices(s, from, to, threads);
  });
}

}  // namespace

void max_pool2d_forward(int dtype, const Pool2dShape& s, uintptr_t x, int64_t x_count, uintptr_t y,
                        int64_t y_count, uintptr_t codes, int64_t codes_count, int threads) {
  check_threads(threads);
  with_dtype(dtype, [&](auto zero) {
    with_codes(s, [&](auto code) {
      using T = decltype(zero);
      const T* from = buffer<const T>("x", x, x_count, s.x_count());
      T* to = output<T>("y", y, y_count, s.y_count());
      auto* at = output<decltype(code)>("codes", codes, codes_count, s.y_count(), true);
      const ReleaseGil nogil(s.x_count());
      cpu::max_pool2d_forward(s, from, to, at, threads);
    });
  });
}

void avg_pool2d_forward(int dtype, const Pool2dShape& s, uintptr_t x, int64_t x_count, uintptr_t y,
                        int64_t y_count, int threads) {
  check_threads(threads);
  with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = buffer<const T>("x", x, x_count, s.x_count());
    T* to = output<T>("y", y, y_count, s.y_count());
    const ReleaseGil nogil(s.x_count());
    cpu::avg_pool2d_forward(s, from, to, threads);
  });
}

void max_pool2d_backward(int dtype, const Pool2dShape& s, uintptr_t grad_y, int64_t grad_y_count,
                         uintptr_t codes, int64_t codes_count, uintptr_t grad_x,
                         int64_t grad_x_count, int threads) {
  check_threads(threads);
  with_dtype(dtype, [&](auto zero) {
    with_codes(s, [&](auto code) {
      using T = decltype(zero);
      const T* from = buffer<const T>("grad_y", grad_y, grad_y_count, s.y_count());
      const auto* at = buffer<const decltype(code)>("codes", codes, codes_count, s.y_count());
      T* to = output<T>("grad_x", grad_x, grad_x_count, s.x_count());
      const ReleaseGil nogil(s.x_count());
      cpu::max_pool2d_backward(s, from, at, to, threads);
    });
  });
}

void avg_pool2d_backward(int dtype, const Pool2dShape& s, uintptr_t grad_y, int64_t grad_y_count,
                         uintptr_t grad_x, int64_t grad_x_count, int threads) {
  check_threads(threads);
  with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = buffer<const T>("grad_y", grad_y, grad_y_count, s.y_count());
    T* to = output<T>("grad_x", grad_x, grad_x_count, s.x_count());
    const ReleaseGil nogil(s.x_count());
    cpu::avg_pool2d_backward(s, from, to, threads);
  });
}

void bind_pool2d(py::module_& m) {
  m.def("max_pool2d_forward", &max_pool2d_forward, py::arg("dtype"), py::arg("shape"), py::arg("x"),
        py::arg("x_count"), py::arg("y"), py::arg("y_count"), py::arg("codes"),
        py::arg("codes_count"), py::arg("threads"));
  m.def("max_pool2d_indices", &max_pool2d_indices, py::arg("shape"), py::arg("codes"),
        py::arg("codes_count"), py::arg("indices"), py::arg("indices_count"), py::arg("threads"));
  m.def("max_pool2d_backward", &max_pool2d_backward, py::arg("dtype"), py::arg("shape"),
        py::arg("grad_y"), py::arg("grad_y_count"), py::arg("codes"), py::arg("codes_count"),
        py::arg("grad_x"), py::arg("grad_x_count"), py::arg("threads"));
  m.def("avg_pool2d_forward", &avg_pool2d_forward, py::arg("dtype"), py::arg("shape"), py::arg("x"),
        py::arg("x_count"), py::arg("y"), py::arg("y_count"), py::arg("threads"));
  m.def("avg_pool2d_backward", &avg_pool2d_backward, py::arg("dtype"), py::arg("shape"),
        py::arg("grad_y"), py::arg("grad_y_count"), py::arg("grad_x"), py::arg("grad_x_count"),
        py::arg("threads"));
}

}  // namespace fastconv::bindings
