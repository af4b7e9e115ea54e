// FASTCONV_VERBOSE=1: one line on stderr for every call of an operator, for instance
//   fastconv conv2d forward float32 8x64x28x28 -> 256x28x28, 3x3, padding 1: winograd, 1.234 ms
// and of convolutions behind it: (estimated: winograd 1.1, gemm 3.0, direct 3.4)
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

// Prints its line and the time since its construction when it goes out of scope. `what` names the
// operator and the direction. Without verbose() it does nothing.
class VerboseLine {
 public:
  template <class Shape>
  VerboseLine(const char* what, const char* dtype, const Shape& shape, const char* path) {
    if (verbose()) begin(std::string(what) + " " + dtype + " " + describe(shape) + ": " + path);
  }
  // `more` returns what is written behind the time.
  template <class Shape, class More>
  VerboseLine(const char* what, const char* dtype, const Shape& shape, const char* path,
              const More& more)
      : VerboseLine(what, dtype, shape, path) {
    if (verbose()) behind = " (" + more() + ")";
  }
  ~VerboseLine() {
    if (!text.empty()) end();
  }
  VerboseLine(const VerboseLine&) = delete;
  VerboseLine& operator=(const VerboseLine&) = delete;

 private:
  void begin(std::string line);
  void end();

  std::string text, behind;
  std::chrono::steady_clock::time_point start;
};

}  // namespace fastconv::runtime
