// Checks buffers, chooses the element type and runs the kernels. Layer: runtime.
#include "calls.h"

#include "buffers.h"
#include "conv2d.h"
#include "verbose.h"

#include <stdexcept>

namespace fastconv::runtime {
namespace {

// A kernel of fewer elementary steps takes less time than releasing Python's GIL.
constexpr int64_t LONG_CALL_STEPS = 4096;

AroundLongCalls around_long_calls;

// The time in which a kernel of many steps runs.
class LongCall {
 public:
  explicit LongCall(int64_t steps)
      : around(steps >= LONG_CALL_STEPS && around_long_calls.begin),
        begun(around ? around_long_calls.begin() : nullptr) {}
  LongCall(const LongCall&) = delete;
  ~LongCall() {
    if (around) around_long_calls.end(begun);
  }

 private:
  bool around;
  void* begun;
};

// A bound as the tensor's type holds it, as torch's clamp takes it.
template <class T>
SumOf<T> checked_bound(double bound) {
  if (bound != bound) throw std::invalid_argument("a bound of the result is not a number");
  return static_cast<SumOf<T>>(T(static_cast<SumOf<T>>(bound)));
}

}  // namespace

void set_around_long_calls(AroundLongCalls functions) { around_long_calls = functions; }

void conv2d_forward(int dtype, const Conv2dShape& s, Buffer x, Buffer w,
                    const EpilogueBuffers& epilogue, Buffer y, int threads, const std::string& path,
                    bool cache_filters) {
  const cpu::Context context = checked_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    using T = decltype(zero);
    const ForwardBuffers<T> io{
        checked<const T>("x", x, s.x_count()),
        checked<const T>("w", w, s.w_count()),
        {checked<const T>("bias", epilogue.bias, s.OC, true),
         checked<const T>("addend", epilogue.addend, s.y_count(), true),
         checked_bound<T>(epilogue.lowest), checked_bound<T>(epilogue.highest)},
        checked_output<Cpu, T>("y", y, s.y_count())};
    const LongCall running(s.multiply_adds());
    run_conv2d<Cpu>("conv2d forward", s, io, context, path, cache_filters);
  });
}

void conv2d_backward_input(int dtype, const Conv2dShape& s, Buffer grad_y, Buffer w, Buffer grad_x,
                           int threads, const std::string& path) {
  const cpu::Context context = checked_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    using T = decltype(zero);
    const BackwardInputBuffers<T> io{checked<const T>("grad_y", grad_y, s.y_count()),
                                     checked<const T>("w", w, s.w_count()),
                                     checked_output<Cpu, T>("grad_x", grad_x, s.x_count())};
    const LongCall running(s.multiply_adds());
    run_conv2d<Cpu>("conv2d backward_input", s, io, context, path);
  });
}

void conv2d_backward_weight(int dtype, const Conv2dShape& s, Buffer grad_y, Buffer x, Buffer grad_w,
                            Buffer grad_bias, int threads, const std::string& path) {
  const cpu::Context context = checked_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    using T = decltype(zero);
    const BackwardWeightBuffers<T> io{checked<const T>("grad_y", grad_y, s.y_count()),
                                      checked<const T>("x", x, s.x_count()),
                                      checked_output<Cpu, T>("grad_w", grad_w, s.w_count()),
                                      checked_output<Cpu, T>("grad_bias", grad_bias, s.OC, true)};
    const LongCall running(s.multiply_adds());
    run_conv2d<Cpu>("conv2d backward_weight", s, io, context, path);
  });
}

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

}  // namespace

void max_pool2d_indices(const Pool2dShape& s, Buffer codes, Buffer indices, int threads) {
  const cpu::Context context = checked_context(threads);
  with_codes(s, [&](auto code) {
    const auto* from = checked<const decltype(code)>("codes", codes, s.y_count());
    auto* to = checked_output<Cpu, int64_t>("indices", indices, s.y_count());
    const LongCall running(s.y_count());
    cpu::max_pool2d_indices(s, from, to, context.threads);
  });
}

void max_pool2d_forward(int dtype, const Pool2dShape& s, Buffer x, Buffer y, Buffer codes,
                        int threads) {
  const cpu::Context context = checked_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    with_codes(s, [&](auto code) {
      using T = decltype(zero);
      const T* from = checked<const T>("x", x, s.x_count());
      T* to = checked_output<Cpu, T>("y", y, s.y_count());
      auto* at = checked_output<Cpu, decltype(code)>("codes", codes, s.y_count(), true);
      const LongCall running(s.x_count());
      const VerboseLine line("max_pool2d forward", Element<T>::NAME, s, "pool");
      const Cpu::EndOfCall trim;
      const int64_t bytes = cpu::max_pool2d_forward_workspace<T>(s, context.threads);
      cpu::max_pool2d_forward(s, from, to, at, Cpu::workspace(bytes, context), context.threads);
    });
  });
}

void max_pool2d_backward(int dtype, const Pool2dShape& s, Buffer grad_y, Buffer codes,
                         Buffer grad_x, int threads) {
  const cpu::Context context = checked_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    with_codes(s, [&](auto code) {
      using T = decltype(zero);
      const T* from = checked<const T>("grad_y", grad_y, s.y_count());
      const auto* at = checked<const decltype(code)>("codes", codes, s.y_count());
      T* to = checked_output<Cpu, T>("grad_x", grad_x, s.x_count());
      const LongCall running(s.x_count());
      const VerboseLine line("max_pool2d backward", Element<T>::NAME, s, "pool");
      const Cpu::EndOfCall trim;
      const int64_t bytes = cpu::max_pool2d_backward_workspace<T>(s, context.threads);
      cpu::max_pool2d_backward(s, from, at, to, Cpu::workspace(bytes, context), context.threads);
    });
  });
}

void avg_pool2d_forward(int dtype, const Pool2dShape& s, Buffer x, Buffer y, int threads) {
  const cpu::Context context = checked_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    using T = decltype(zero);
    const T* from = checked<const T>("x", x, s.x_count());
    T* to = checked_output<Cpu, T>("y", y, s.y_count());
    const LongCall running(s.x_count());
    const VerboseLine line("avg_pool2d forward", Element<T>::NAME, s, "pool");
    cpu::avg_pool2d_forward(s, from, to, context.threads);
  });
}

void avg_pool2d_backward(int dtype, const Pool2dShape& s, Buffer grad_y, Buffer grad_x,
                         int threads) {
  const cpu::Context context = checked_context(threads);
  with_element(checked_dtype(dtype), [&](auto zero) {
    using T = decltype(zero);
    const T* from = checked<const T>("grad_y", grad_y, s.y_count());
    T* to = checked_output<Cpu, T>("grad_x", grad_x, s.x_count());
    const LongCall running(s.x_count());
    const VerboseLine line("avg_pool2d backward", Element<T>::NAME, s, "pool");
    const Cpu::EndOfCall trim;
    const int64_t bytes = cpu::avg_pool2d_backward_workspace<T>(s, context.threads);
    cpu::avg_pool2d_backward(s, from, to, Cpu::workspace(bytes, context), context.threads);
  });
}

namespace {

template <int WIDTH>
struct UnsignedOf;
template <>
struct UnsignedOf<2> {
  using type = uint16_t;
};
template <>
struct UnsignedOf<4> {
  using type = uint32_t;
};
template <>
struct UnsignedOf<8> {
  using type = uint64_t;
};

// Calls kernel(from, indices, to), which returns where the first index outside of its plane lies.
template <class Kernel>
void run_unpool(const char* what, int dtype, const UnpoolShape& s, Buffer from, int64_t from_count,
                Buffer indices, Buffer to, int64_t to_count, const Kernel& kernel) {
  with_element(checked_dtype(dtype), [&](auto zero) {
    using T = decltype(zero);
    using Bits = typename UnsignedOf<sizeof(T)>::type;
    const auto* in = checked<const Bits>("the input", from, from_count);
    const auto* at = checked<const int64_t>("indices", indices, s.x_count());
    auto* out = checked_output<Cpu, Bits>("the result", to, to_count);
    const LongCall running(s.y_count());
    const VerboseLine line(what, Element<T>::NAME, s, "pool");
    const int64_t outside = kernel(in, at, out);
    if (outside == cpu::NO_INDEX) return;
    const std::string depth = s.is_volume ? std::to_string(s.OD) + "x" : "";
    throw std::runtime_error("Found an invalid max index: " + std::to_string(at[outside]) +
                             " (output volumes are of size " + depth + std::to_string(s.OH) + "x" +
                             std::to_string(s.OW) + ")");
  });
}

}  // namespace

void max_unpool_forward(int dtype, const UnpoolShape& s, Buffer x, Buffer indices, Buffer y,
                        int threads) {
  const cpu::Context context = checked_context(threads);
  run_unpool("max_unpool forward", dtype, s, x, s.x_count(), indices, y, s.y_count(),
             [&](const auto* from, const int64_t* at, auto* to) {
               return cpu::max_unpool_forward(s, from, at, to, context.threads);
             });
}

void max_unpool_backward(int dtype, const UnpoolShape& s, Buffer grad_y, Buffer indices,
                         Buffer grad_x, int threads) {
  const cpu::Context context = checked_context(threads);
  run_unpool("max_unpool backward", dtype, s, grad_y, s.y_count(), indices, grad_x, s.x_count(),
             [&](const auto* from, const int64_t* at, auto* to) {
               return cpu::max_unpool_backward(s, from, at, to, context.threads);
             });
}

}  // namespace fastconv::runtime
