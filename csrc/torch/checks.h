// What the operators check of their arguments, and the layouts in which kernels read tensors. Layer:
// torch host.
#pragma once

#include <stdexcept>

#include "tensors.h"

namespace fastconv::torch_host {

using at::IntArrayRef;

// The element type that all share.
inline DType element_type(const Tensor& first, const Tensor& second = {}, const Tensor& third = {},
                          const Tensor& fourth = {}) {
  for (const Tensor& t : {second, third, fourth})
    TORCH_CHECK(!t.defined() || t.scalar_type() == first.scalar_type(), "fastconv: tensors of ",
                first.scalar_type(), " and ", t.scalar_type(), " do not mix");
  const std::optional<DType> dtype = dtype_of(first.scalar_type());
  TORCH_CHECK_NOT_IMPLEMENTED(dtype, "fastconv: no kernel for ", first.scalar_type());
  return *dtype;
}

inline bool is_channels_last(const Tensor& t) {
  TORCH_CHECK_VALUE(t.dim() == 4, "fastconv: a tensor has ", t.dim(), " dimensions, not 4");
  return t.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
}
inline Tensor dense(const Tensor& t, bool channels_last) {
  return t.contiguous(format(channels_last));
}

// Runs what checks shapes and buffers, whose errors become torch's ValueError.
template <class F>
auto checked(const F& f) {
  try {
    return f();
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK_VALUE(false, error.what());
  }
}

// Returns the values of a row that must have COUNT of them.
template <int COUNT>
const int64_t* row(IntArrayRef values) {
  TORCH_CHECK_VALUE(values.size() == COUNT, "fastconv: ", COUNT, " numbers are expected, got ",
                    values);
  return values.data();
}

}  // namespace fastconv::torch_host
