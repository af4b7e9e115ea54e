// FASTCONV_VERBOSE=1: one line on stderr for every call of an operator, for instance
//   fastconv max_pool2d forward float32 8x64x28x28 -> 14x14, 2x2, stride 2: pool, 0.123 ms
// and for a convolution also the estimates, in milliseconds of one thread:
//   ... 3x3, padding 1: winograd, estimated: winograd 2.1, gemm 5.9, direct 6.4, 1.234 ms
// Layer: runtime.
#pragma once

#include <chrono>
#include <string>

#include "../core/shape.h"

namespace fastconv::runtime {

// Returns whether FASTCONV_VERBOSE is set to anything but 0. Reads the environment once.
bool verbose();

std::string describe(const Conv2dShape& shape);
std::string describe(const Pool2dShape& shape);
std::string describe(const UnpoolShape& shape);

// Prints its line and the time since its construction when it goes out of scope. `what` names the
// operator and the direction. Without verbose() it does nothing.
class VerboseLine {
 public:
  template <class Shape>
  VerboseLine(const char* what, const char* dtype, const Shape& shape, const char* path) {
    if (verbose()) begin(std::string(what) + " " + dtype + " " + describe(shape) + ": " + path);
  }
  // `more` returns what is written before the time.
  template <class Shape, class More>
  VerboseLine(const char* what, const char* dtype, const Shape& shape, const char* path,
              const More& more)
      : VerboseLine(what, dtype, shape, path) {
    if (verbose()) text += ", " + more();
  }
  ~VerboseLine() {
    if (!text.empty()) end();
  }
  VerboseLine(const VerboseLine&) = delete;
  VerboseLine& operator=(const VerboseLine&) = delete;

 private:
  void begin(std::string line);
  void end();

  std::string text;
  std::chrono::steady_clock::time_point start;
};

}  // namespace fastconv::runtime
