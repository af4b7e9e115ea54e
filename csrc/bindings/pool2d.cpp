// The pools for Python, on addresses. Layer: bindings.
#include "pool2d.h"

#include "../runtime/verbose.h"
#include "translate.h"

namespace py = pybind11;

namespace fastconv::bindings {

using runtime::checked;
using runtime::checked_dtype;
using runtime::checked_output;
using runtime::VerboseLine;

namespace {

// Calls f(Code{}) with the type of the shape's codes. Those of adaptive windows always take four bytes,
// so that a compiler need not know extents to know their type.
template <class F>
void with_codes(const Pool2dShape& s, const F& f) {
  if (s.byte_codes() && !s.adaptive)
    f(uint8_t{});
  else
    f(int32_t{});
}

void max_pool2d_indices(const Pool2dShape& s, Buffer codes, Buffer indices, int threads) {
  const cpu::Context context = cpu_context(threads);
  with_codes(s, [&](auto code) {
    const auto* from = checked<const decltype(code)>("codes", codes, s.y_count());
    auto* to = checked_output<Cpu, int64_t>("indices", indices, s.y_count());
    const ReleaseGil nogil(s.y_count());
    cpu::max_pool2d_indices(s, from, to, context.threads);
  });
}

}  // namespace

void max_pool2d_forward(int dtype, const Pool2dShape& s, Buffer x, Buffer y, Buffer codes,
                        int threads) {
  const cpu::Context context = cpu_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    with_codes(s, [&](auto code) {
      using T = decltype(zero);
      const T* from = checked<const T>("x", x, s.x_count());
      T* to = checked_output<Cpu, T>("y", y, s.y_count());
      auto* at = checked_output<Cpu, decltype(code)>("codes", codes, s.y_count(), true);
      const ReleaseGil nogil(s.x_count());
      const VerboseLine line("max_pool2d forward", Element<T>::NAME, s, "pool");
      const Cpu::EndOfCall trim;
      const int64_t bytes = cpu::max_pool2d_forward_workspace<T>(s, context.threads);
      cpu::max_pool2d_forward(s, from, to, at, Cpu::workspace(bytes, context), context.threads);
    });
  });
}

void max_pool2d_backward(int dtype, const Pool2dShape& s, Buffer grad_y, Buffer codes,
                         Buffer grad_x, int threads) {
  const cpu::Context context = cpu_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    with_codes(s, [&](auto code) {
      using T = decltype(zero);
      const T* from = checked<const T>("grad_y", grad_y, s.y_count());
      const auto* at = checked<const decltype(code)>("codes", codes, s.y_count());
      T* to = checked_output<Cpu, T>("grad_x", grad_x, s.x_count());
      const ReleaseGil nogil(s.x_count());
      const VerboseLine line("max_pool2d backward", Element<T>::NAME, s, "pool");
      const Cpu::EndOfCall trim;
      const int64_t bytes = cpu::max_pool2d_backward_workspace<T>(s, context.threads);
      cpu::max_pool2d_backward(s, from, at, to, Cpu::workspace(bytes, context), context.threads);
    });
  });
}

void avg_pool2d_forward(int dtype, const Pool2dShape& s, Buffer x, Buffer y, int threads) {
  const cpu::Context context = cpu_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    using T = decltype(zero);
    const T* from = checked<const T>("x", x, s.x_count());
    T* to = checked_output<Cpu, T>("y", y, s.y_count());
    const ReleaseGil nogil(s.x_count());
    const VerboseLine line("avg_pool2d forward", Element<T>::NAME, s, "pool");
    cpu::avg_pool2d_forward(s, from, to, context.threads);
  });
}

void avg_pool2d_backward(int dtype, const Pool2dShape& s, Buffer grad_y, Buffer grad_x,
                         int threads) {
  const cpu::Context context = cpu_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    using T = decltype(zero);
    const T* from = checked<const T>("grad_y", grad_y, s.y_count());
    T* to = checked_output<Cpu, T>("grad_x", grad_x, s.x_count());
    const ReleaseGil nogil(s.x_count());
    const VerboseLine line("avg_pool2d backward", Element<T>::NAME, s, "pool");
    const Cpu::EndOfCall trim;
    const int64_t bytes = cpu::avg_pool2d_backward_workspace<T>(s, context.threads);
    cpu::avg_pool2d_backward(s, from, to, Cpu::workspace(bytes, context), context.threads);
  });
}

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
}

}  // namespace fastconv::bindings
