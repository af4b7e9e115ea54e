// Questions about torch's tensors: whether they are plain, their addresses, the layouts of a call,
// and whether something watches operators. Layer: torch host.
#pragma once

#include <ATen/EmptyTensor.h>
#include <ATen/PythonTorchFunctionTLS.h>
#include <ATen/TracerMode.h>
#include <ATen/autocast_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/autograd/forward_grad.h>
#include <torch/csrc/profiler/orchestration/observer.h>

#include <optional>
#include <type_traits>

#include "../bindings/host.h"

namespace fastconv::torch_host {

using at::Tensor;
using bindings::Call;

// Returns whether a tracer, profiler, mode or transform has to see operators.
inline bool operators_are_watched() {
  return c10::impl::dispatch_mode_enabled() || at::impl::torch_function_mode_enabled() ||
         c10::impl::tls_is_dispatch_key_included(
             c10::DispatchKey::FuncTorchDynamicLayerFrontMode) ||
         torch::profiler::impl::profilerEnabled() || at::tracer::impl::is_dispatch_enabled();
}
// Returns whether a call may not be a plain one: operators are watched, or autocast or forward mode
// has to see the layer.
inline bool watched() {
  return operators_are_watched() || at::autocast::is_autocast_enabled(at::kCPU) ||
         torch::autograd::ForwardADLevel::try_get_by_idx(0) != nullptr;
}

// Returns whether a tensor is dense memory on the CPU, without wrapper or pending negation.
inline bool is_plain(const Tensor& t) {
  constexpr c10::DispatchKeySet PLAIN({c10::DispatchKey::CPU, c10::DispatchKey::ADInplaceOrView,
                                       c10::DispatchKey::AutogradCPU,
                                       c10::DispatchKey::AutocastCPU});
  return PLAIN.isSupersetOf(t.key_set()) && t.has_storage() && t.const_data_ptr() != nullptr;
}

inline Buffer buffer(const Tensor& t) {
  if (!t.defined()) return {};
  return {reinterpret_cast<uintptr_t>(t.const_data_ptr()), t.numel()};
}

// Returns torch's name of an element type.
template <class T>
constexpr c10::ScalarType scalar_type() {
  if constexpr (std::is_same_v<T, Half>)
    return at::kHalf;
  else if constexpr (std::is_same_v<T, BFloat16>)
    return at::kBFloat16;
  else
    return c10::CppTypeToScalarType<T>::value;
}
inline c10::ScalarType type_of(const Call& call) {
  return with_element(call.dtype, [](auto zero) { return scalar_type<decltype(zero)>(); });
}
// Returns the element type of torch's name, if there are kernels for it.
inline std::optional<DType> dtype_of(c10::ScalarType type) {
#define FASTCONV_IF(T) \
  if (type == scalar_type<T>()) return Element<T>::DTYPE;
  FASTCONV_FOR_EACH_ELEMENT(FASTCONV_IF)
#undef FASTCONV_IF
  return std::nullopt;
}

inline at::MemoryFormat format(bool channels_last) {
  return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

// Sizes and layout of a 4-D tensor of a call.
struct Layout {
  int64_t sizes[4];
  bool channels_last;

  Tensor make(c10::ScalarType type) const {
    return at::detail::empty_cpu(sizes, type, false, format(channels_last));
  }
  // Returns whether kernels may read the tensor without a copy.
  bool matches(const Tensor& t, c10::ScalarType type) const {
    return is_plain(t) && t.scalar_type() == type && t.sizes() == at::IntArrayRef(sizes) &&
           t.is_contiguous(format(channels_last));
  }
};

inline Layout x_layout(const Conv2dShape& s) {
  return {{s.N, s.IC, s.IH, s.IW}, s.x_channels_last};
}
inline Layout w_layout(const Conv2dShape& s) {
  return {{s.OC, s.group_IC(), s.KH, s.KW}, s.w_channels_last};
}
inline Layout y_layout(const Conv2dShape& s) {
  return {{s.N, s.OC, s.OH(), s.OW()}, s.y_channels_last};
}
inline Layout x_layout(const Pool2dShape& s) { return {{s.N, s.C, s.IH, s.IW}, s.channels_last}; }
inline Layout y_layout(const Pool2dShape& s) { return {{s.N, s.C, s.OH, s.OW}, s.channels_last}; }

inline c10::ScalarType codes_type(const Pool2dShape& s) {
  return s.byte_codes() && !s.adaptive ? at::kByte : at::kInt;
}

}  // namespace fastconv::torch_host
