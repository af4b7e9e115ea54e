// Build information, CPU features, instruction set and threads. Layer: bindings.
#include "system.h"

#include <cstdlib>
#include <string>

#include "translate.h"

extern "C" int omp_get_max_threads();

namespace py = pybind11;

namespace fastconv::bindings {
namespace {

#if defined(__clang__)
constexpr const char* COMPILER = "clang " __clang_version__;
#else
constexpr const char* COMPILER = "g++ " __VERSION__;
#endif

py::dict build_info() {
  py::dict info;
  info["compiler"] = COMPILER;
  info["pybind11"] =
      PYBIND11_TOSTRING(PYBIND11_VERSION_MAJOR) "." PYBIND11_TOSTRING(PYBIND11_VERSION_MINOR);
  info["python"] = PY_VERSION;
  return info;
}

py::dict cpu_features() {
  py::dict features;
  for (int i = 0; i < cpu::ISA_COUNT; ++i)
    features[cpu::ISA_NAMES[i]] = cpu::isa_supported(static_cast<cpu::Isa>(i));
  return features;
}

}  // namespace

void check_isa() {
  const cpu::IsaChoice choice = cpu::choose_isa();
  if (choice.error)
    throw py::import_error("FASTCONV_ISA=" + std::string(std::getenv("FASTCONV_ISA")) + " " +
                           choice.error + "; unset it to let fastconv choose");
}

void bind_system(py::module_& m) {
  py::dict dtypes;
#define FASTCONV_NAME(T) dtypes[Element<T>::NAME] = static_cast<int>(Element<T>::DTYPE);
  FASTCONV_FOR_EACH_ELEMENT(FASTCONV_NAME)
#undef FASTCONV_NAME
  m.attr("DTYPES") = dtypes;
  m.def("build_info", &build_info, "What compiled this module.");
  m.def("cpu_features", &cpu_features,
        "Which instruction sets this CPU supports, of those compiled in.");
  m.def(
      "isa", [] { return cpu::ISA_NAMES[static_cast<int>(cpu::isa())]; },
      "The instruction set in use.");
  m.def(
      "lanes",
      [](int dtype) {
        return with_element(runtime::checked_dtype(dtype),
                            [](auto zero) { return Cpu::lanes<decltype(zero)>(); });
      },
      py::arg("dtype"), "Elements per vector.");
  m.def("max_threads", [] { return omp_get_max_threads(); }, "Threads that OpenMP would start.");
}

}  // namespace fastconv::bindings
