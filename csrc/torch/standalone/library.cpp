// The library fastconv._standalone: kernels and operators for programs without Python. A program
// loads it by dlopen and can then run packages of AOTInductor that call torch.ops.fastconv.*. It
// records no derivatives. It is optional, as fastconv._torch is, and built for one torch as well.
// Layer: torch host.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include "../entry_points.h"
#include "../operators.h"

namespace fastconv::torch_host {
namespace {

// Defines the operators and registers their kernels, unless fastconv was imported and did so.
bool register_all() {
  if (c10::Dispatcher::singleton().findSchema({"fastconv::conv2d", ""})) return false;
  // Leaked, because torch's dispatcher may go before the library does.
  auto& m = *new torch::Library(torch::Library::DEF, "fastconv", std::nullopt, __FILE__, __LINE__);
  for (const char* schema : {
#include "schemas.inc"  // written by setup.py, from the table of operators in fastconv/core/ops.py
       })
    m.def(schema);
  entry_points = &bindings::entry_points();
  register_operators();
  return true;
}

[[maybe_unused]] const bool registered = register_all();

}  // namespace
}  // namespace fastconv::torch_host
