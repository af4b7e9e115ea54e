// Measures the seconds of each thread in each stage of Winograd, if the caller asks for it.
// Layer: cpu/winograd, for drivers.
#pragma once

#include <chrono>

#include "../common/workspace.h"

namespace fastconv::cpu {

// In backward_weight FILTER_TRANSFORM makes grad_w of dU, and OUTPUT_TRANSFORM makes dM of grad_y.
// Gathering and scattering pixels belongs to the transforms.
enum WinogradStage { INPUT_TRANSFORM, FILTER_TRANSFORM, PRODUCT, OUTPUT_TRANSFORM };
constexpr int WINOGRAD_STAGES = 4;

struct alignas(CACHE_LINE) WinogradSeconds {
  double of[WINOGRAD_STAGES];
};

// Adds the time since its construction, or since the last stamp, to a stage.
class StageClock {
 public:
  // `seconds` has an element for each thread, or is null: then nothing is measured.
  StageClock(WinogradSeconds* seconds, int thread) : own(seconds ? seconds + thread : nullptr) {
    if (own) last = std::chrono::steady_clock::now();
  }
  void stamp(WinogradStage stage) {
    if (!own) return;
    const auto now = std::chrono::steady_clock::now();
    own->of[stage] += std::chrono::duration<double>(now - last).count();
    last = now;
  }

 private:
  WinogradSeconds* own;
  std::chrono::steady_clock::time_point last;
};

}  // namespace fastconv::cpu
