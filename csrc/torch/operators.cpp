// The operators torch.ops.fastconv.* of CPU tensors, in C++: the dispatcher calls them for a tenth
// of what the same functions of fastconv/core/ops.py cost, which it calls without this library.
// Both give the same results. Layer: torch host.
#include "operators.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <limits>
#include <tuple>

#include "checks.h"
#include "entry_points.h"

namespace fastconv::torch_host {
namespace {

using MaybeTensor = std::optional<Tensor>;

// As is_output_channels_last of fastconv/core/tensors.py, which says why.
bool is_y_channels_last(const Tensor& x, const Tensor& w, int64_t groups, IntArrayRef y_size) {
  if (!is_channels_last(x) && !is_channels_last(w)) return false;
  const bool onednn = x.scalar_type() == at::kFloat && at::hasMKLDNN();
  return groups == 1 || groups != y_size[1] || onednn || y_size[2] != 1 || y_size[3] != 1;
}

struct ConvArguments {
  IntArrayRef stride, padding, dilation;
  int64_t groups;
};

Call conv_call(IntArrayRef x, IntArrayRef w, const ConvArguments& a, bool x_last, bool w_last,
               bool y_last, DType dtype) {
  Call call{};
  call.kernel = bindings::CONV2D;
  call.dtype = dtype;
  call.conv = checked([&] {
    return entry_points->conv2d_shape(row<4>(x), row<4>(w), row<2>(a.stride), row<4>(a.padding),
                                      row<2>(a.dilation), a.groups, x_last, w_last, y_last);
  });
  return call;
}

Tensor conv2d_fused(const Tensor& x, const Tensor& w, const MaybeTensor& bias,
                    const MaybeTensor& addend, std::optional<double> lowest,
                    std::optional<double> highest, IntArrayRef stride, IntArrayRef padding,
                    IntArrayRef dilation, int64_t groups, bool cache_filters) {
  constexpr double INFINITE = std::numeric_limits<double>::infinity();
  const bool x_last = is_channels_last(x), w_last = is_channels_last(w);
  const Tensor b = bias ? bias->contiguous() : Tensor(), a = addend ? *addend : Tensor();
  Call call = conv_call(x.sizes(), w.sizes(), {stride, padding, dilation, groups}, x_last, w_last,
                        false, element_type(x, w, b, a));
  const Layout y_like = y_layout(call.conv);
  call.conv.y_channels_last = is_y_channels_last(x, w, groups, y_like.sizes);
  TORCH_CHECK_VALUE(!addend || a.sizes() == IntArrayRef(y_like.sizes),
                    "fastconv: the addend has the size ", a.sizes(), ", and the result ",
                    IntArrayRef(y_like.sizes));
  const Tensor dense_x = dense(x, x_last), dense_w = dense(w, w_last);
  const Tensor dense_a = addend ? dense(a, call.conv.y_channels_last) : a;
  Tensor y = y_layout(call.conv).make(x.scalar_type());
  // The filters of a copy are not kept: they have another address at every call.
  const bool keep = cache_filters && dense_w.is_same(w);
  checked([&] {
    entry_points->conv2d(
        call, buffer(dense_x), buffer(dense_w),
        {buffer(b), buffer(dense_a), lowest.value_or(-INFINITE), highest.value_or(INFINITE)},
        buffer(y), at::get_num_threads(), keep);
  });
  return y;
}

Tensor conv2d(const Tensor& x, const Tensor& w, const MaybeTensor& bias, IntArrayRef stride,
              IntArrayRef padding, IntArrayRef dilation, int64_t groups, bool cache_filters) {
  return conv2d_fused(x, w, bias, std::nullopt, std::nullopt, std::nullopt, stride, padding,
                      dilation, groups, cache_filters);
}

Tensor conv2d_backward_input(const Tensor& grad_y, const Tensor& w, IntArrayRef x_size,
                             IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation,
                             int64_t groups, bool x_last) {
  const bool y_last = is_channels_last(grad_y), w_last = is_channels_last(w);
  const Call call = conv_call(x_size, w.sizes(), {stride, padding, dilation, groups}, x_last,
                              w_last, y_last, element_type(grad_y, w));
  const Tensor dense_y = dense(grad_y, y_last), dense_w = dense(w, w_last);
  Tensor grad_x = x_layout(call.conv).make(grad_y.scalar_type());
  checked([&] {
    entry_points->conv2d_backward_input(call, buffer(dense_y), buffer(dense_w), buffer(grad_x),
                                        at::get_num_threads());
  });
  return grad_x;
}

using TwoTensors = std::tuple<Tensor, Tensor>;

TwoTensors conv2d_backward_weight(const Tensor& grad_y, const Tensor& x, IntArrayRef w_size,
                                  IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation,
                                  int64_t groups, bool w_last, bool with_bias) {
  const bool y_last = is_channels_last(grad_y), x_last = is_channels_last(x);
  const Call call = conv_call(x.sizes(), w_size, {stride, padding, dilation, groups}, x_last,
                              w_last, y_last, element_type(grad_y, x));
  const Tensor dense_y = dense(grad_y, y_last), dense_x = dense(x, x_last);
  Tensor grad_w = w_layout(call.conv).make(x.scalar_type());
  Tensor grad_bias = at::empty({with_bias ? call.conv.OC : 0}, x.options());
  checked([&] {
    entry_points->conv2d_backward_weight(call, buffer(dense_y), buffer(dense_x), buffer(grad_w),
                                         with_bias ? buffer(grad_bias) : Buffer{},
                                         at::get_num_threads());
  });
  return {grad_w, grad_bias};
}

// ---- pools: a `Window` fills in the shape of a call ----------------------------------------------

struct Window {
  IntArrayRef kernel, stride, padding, dilation;
  std::optional<IntArrayRef> output_size;  // of adaptive windows, which have nothing else
  bool ceil_mode = false, include = true;
  int64_t divisor = 0;

  Call call(bindings::Kernel runs, IntArrayRef x, bool channels_last, DType dtype) const {
    Call result{};
    result.kernel = runs;
    result.dtype = dtype;
    result.ceil_mode = ceil_mode;
    result.pool = checked([&] {
      if (output_size)
        return entry_points->adaptive_shape(row<4>(x), row<2>(*output_size), channels_last);
      return entry_points->pool2d_shape(row<4>(x), row<2>(kernel), row<2>(stride), row<2>(padding),
                                        row<2>(dilation), ceil_mode, include, divisor,
                                        channels_last);
    });
    return result;
  }
};

TwoTensors maxima(const Tensor& x, const Window& window, bool with_codes) {
  const bool last = is_channels_last(x);
  const Call call = window.call(bindings::MAX_POOL2D, x.sizes(), last, element_type(x));
  const Tensor dense_x = dense(x, last);
  Tensor y = y_layout(call.pool).make(x.scalar_type());
  Tensor codes = with_codes ? y_layout(call.pool).make(codes_type(call.pool))
                            : at::empty({0}, x.options().dtype(at::kByte));
  checked([&] {
    entry_points->max_pool2d(call, buffer(dense_x), buffer(y),
                             with_codes ? buffer(codes) : Buffer{}, at::get_num_threads());
  });
  return {y, codes};
}

Tensor maxima_backward(const Tensor& grad_y, const Tensor& codes, IntArrayRef x_size,
                       const Window& window, bool last) {
  const Call call = window.call(bindings::MAX_POOL2D, x_size, last, element_type(grad_y));
  TORCH_CHECK(codes.scalar_type() == codes_type(call.pool), "fastconv: codes of ",
              codes.scalar_type(), " are not those of max_pool2d");
  const Tensor dense_y = dense(grad_y, last), dense_codes = dense(codes, last);
  Tensor grad_x = x_layout(call.pool).make(grad_y.scalar_type());
  checked([&] {
    entry_points->max_pool2d_backward(call, buffer(dense_y), buffer(dense_codes), buffer(grad_x),
                                      at::get_num_threads());
  });
  return grad_x;
}

// As max_pool2d_indices of fastconv/core/cpu.py: of x only the size matters.
Tensor maxima_indices(const Tensor& codes, const Tensor& x, const Window& window) {
  const bool last = !codes.is_contiguous();
  const Call call = window.call(bindings::MAX_POOL2D, x.sizes(), last, DType::float32);
  TORCH_CHECK(codes.scalar_type() == codes_type(call.pool), "fastconv: codes of ",
              codes.scalar_type(), " are not those of max_pool2d");
  const Tensor dense_codes = dense(codes, last);
  Tensor indices = at::empty_like(dense_codes, dense_codes.options().dtype(at::kLong));
  checked([&] {
    entry_points->max_pool2d_indices(call, buffer(dense_codes), buffer(indices),
                                     at::get_num_threads());
  });
  return indices;
}

Tensor average(const Tensor& x, const Window& window) {
  const bool last = is_channels_last(x);
  const Call call = window.call(bindings::AVG_POOL2D, x.sizes(), last, element_type(x));
  const Tensor dense_x = dense(x, last);
  Tensor y = y_layout(call.pool).make(x.scalar_type());
  checked(
      [&] { entry_points->avg_pool2d(call, buffer(dense_x), buffer(y), at::get_num_threads()); });
  return y;
}

Tensor average_backward(const Tensor& grad_y, IntArrayRef x_size, const Window& window, bool last) {
  const Call call = window.call(bindings::AVG_POOL2D, x_size, last, element_type(grad_y));
  const Tensor dense_y = dense(grad_y, last);
  Tensor grad_x = x_layout(call.pool).make(grad_y.scalar_type());
  checked([&] {
    entry_points->avg_pool2d_backward(call, buffer(dense_y), buffer(grad_x), at::get_num_threads());
  });
  return grad_x;
}

// The windows of each kind of pool, from the arguments of its operators.
Window max_window(IntArrayRef kernel, IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation,
                  bool ceil_mode) {
  return {kernel, stride, padding, dilation, std::nullopt, ceil_mode};
}
Window average_window(IntArrayRef kernel, IntArrayRef stride, IntArrayRef padding, bool ceil_mode,
                      bool include, std::optional<int64_t> divisor) {
  static constexpr int64_t ONE[] = {1, 1};
  return {kernel, stride, padding, ONE, std::nullopt, ceil_mode, include, divisor.value_or(0)};
}
Window adaptive_window(IntArrayRef output_size) { return {{}, {}, {}, {}, output_size}; }

// WINDOW(arguments) is the window; the operators of a pool differ in nothing else.
template <auto WINDOW>
struct Pool;
template <class... Args, Window (*WINDOW)(Args...)>
struct Pool<WINDOW> {
  static TwoTensors max_pool(const Tensor& x, Args... args, bool with_codes) {
    return maxima(x, WINDOW(args...), with_codes);
  }
  static Tensor max_pool_indices(const Tensor& codes, const Tensor& x, Args... args) {
    return maxima_indices(codes, x, WINDOW(args...));
  }
  static Tensor max_pool_backward(const Tensor& grad_y, const Tensor& codes, IntArrayRef x_size,
                                  Args... args, bool last) {
    return maxima_backward(grad_y, codes, x_size, WINDOW(args...), last);
  }
  static Tensor avg_pool(const Tensor& x, Args... args) { return average(x, WINDOW(args...)); }
  static Tensor avg_pool_backward(const Tensor& grad_y, IntArrayRef x_size, Args... args,
                                  bool last) {
    return average_backward(grad_y, x_size, WINDOW(args...), last);
  }
};
using MaxPool = Pool<max_window>;
using AvgPool = Pool<average_window>;
using AdaptivePool = Pool<adaptive_window>;

}  // namespace

void register_operators() {
  // Leaked, because torch's dispatcher may go before the library does.
  auto& m = *new torch::Library(torch::Library::IMPL, "fastconv", c10::DispatchKey::CPU, __FILE__,
                                __LINE__);
  m.impl("conv2d", TORCH_FN(conv2d));
  m.impl("conv2d_fused", TORCH_FN(conv2d_fused));
  m.impl("conv2d_backward_input", TORCH_FN(conv2d_backward_input));
  m.impl("conv2d_backward_weight", TORCH_FN(conv2d_backward_weight));
  m.impl("max_pool2d", TORCH_FN(MaxPool::max_pool));
  m.impl("max_pool2d_indices", TORCH_FN(MaxPool::max_pool_indices));
  m.impl("max_pool2d_backward", TORCH_FN(MaxPool::max_pool_backward));
  m.impl("adaptive_max_pool2d", TORCH_FN(AdaptivePool::max_pool));
  m.impl("adaptive_max_pool2d_indices", TORCH_FN(AdaptivePool::max_pool_indices));
  m.impl("adaptive_max_pool2d_backward", TORCH_FN(AdaptivePool::max_pool_backward));
  m.impl("avg_pool2d", TORCH_FN(AvgPool::avg_pool));
  m.impl("avg_pool2d_backward", TORCH_FN(AvgPool::avg_pool_backward));
  m.impl("adaptive_avg_pool2d", TORCH_FN(AdaptivePool::avg_pool));
  m.impl("adaptive_avg_pool2d_backward", TORCH_FN(AdaptivePool::avg_pool_backward));
  register_unpool(m);
}

}  // namespace fastconv::torch_host
