// torch.ops.fastconv.max_unpool and its gradient, of CPU tensors, as operators.cpp has the others.
// Layer: torch host.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "checks.h"
#include "entry_points.h"
#include "operators.h"

namespace fastconv::torch_host {
namespace {

struct Unpool {
  UnpoolShape shape;
  Tensor indices;  // in the layout of x
};

Unpool unpool_of(const Tensor& indices, IntArrayRef output_size, bool channels_last) {
  TORCH_CHECK(indices.scalar_type() == at::kLong,
              "elements in indices should be type int64 but got: ", indices.scalar_type());
  const int dims = static_cast<int>(output_size.size());
  TORCH_CHECK_VALUE((dims == 2 || dims == 3) && indices.dim() == dims + 2,
                    "fastconv: max_unpool of images has two extents, of volumes three");
  return {checked([&] {
            return entry_points->unpool_shape(indices.sizes().data(), output_size.data(), dims,
                                              channels_last);
          }),
          dense(indices, channels_last)};
}

Tensor max_unpool(const Tensor& x, const Tensor& indices, IntArrayRef output_size) {
  TORCH_CHECK(x.sizes() == indices.sizes(),
              "Expected shape of indices to be same as that of the input tensor (", x.sizes(),
              ") but got indices tensor with shape: ", indices.sizes());
  const bool last = x.dim() == 4 && is_channels_last(x);
  const DType dtype = element_type(x);
  const Unpool call = unpool_of(indices, output_size, last);
  const Tensor dense_x = dense(x, last);
  std::vector<int64_t> y_size{x.size(0), x.size(1)};
  y_size.insert(y_size.end(), output_size.begin(), output_size.end());
  Tensor y = at::empty(y_size, x.options().memory_format(format(last)));
  checked([&] {
    entry_points->max_unpool(dtype, call.shape, buffer(dense_x), buffer(call.indices), buffer(y),
                             at::get_num_threads());
  });
  return y;
}

Tensor max_unpool_backward(const Tensor& grad_y, const Tensor& indices, bool channels_last) {
  const DType dtype = element_type(grad_y);
  TORCH_CHECK_VALUE(grad_y.dim() >= 2 && grad_y.dim() == indices.dim() &&
                        grad_y.sizes().slice(0, 2) == indices.sizes().slice(0, 2),
                    "fastconv: the gradient and the indices have other images or channels");
  const Unpool call = unpool_of(indices, grad_y.sizes().slice(2), channels_last);
  const Tensor dense_y = dense(grad_y, channels_last);
  Tensor grad_x = at::empty(indices.sizes(), grad_y.options().memory_format(format(channels_last)));
  checked([&] {
    entry_points->max_unpool_backward(dtype, call.shape, buffer(dense_y), buffer(call.indices),
                                      buffer(grad_x), at::get_num_threads());
  });
  return grad_x;
}

}  // namespace

void register_unpool(torch::Library& m) {
  m.impl("max_unpool", TORCH_FN(max_unpool));
  m.impl("max_unpool_backward", TORCH_FN(max_unpool_backward));
}

}  // namespace fastconv::torch_host
