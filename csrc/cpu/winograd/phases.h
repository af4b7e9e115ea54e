// Where Winograd's time goes: seconds of each thread in each phase, taken only when asked for.
// Layer: cpu, for winograd.cpp and winograd_weight.cpp.
#pragma once

#include <chrono>

#include "../common/workspace.h"

namespace fastconv::cpu {

// backward_weight: FILTER_TRANSFORM is points to taps, OUTPUT_TRANSFORM grad_y to points. Gathering
// and scattering pixels belongs to the transforms.
enum WinogradPhase { INPUT_TRANSFORM, FILTER_TRANSFORM, PRODUCT, OUTPUT_TRANSFORM };
constexpr int WINOGRAD_PHASES = 4;

struct alignas(CACHE_LINE) WinogradSeconds {
  double of[WINOGRAD_PHASES];
};

// Runs from its making, or the last stamp, to the next stamp.
class PhaseClock {
 public:
  // `seconds`: [threads], or null: nothing is measured.
  PhaseClock(WinogradSeconds* seconds, int thread) : own(seconds ? seconds + thread : nullptr) {
    if (own) last = std::chrono::steady_clock::now();
  }
  void stamp(WinogradPhase phase) {
    if (!own) return;
    const auto now = std::chrono::steady_clock::now();
    own->of[phase] += std::chrono::duration<double>(now - last).count();
    last = now;
  }

 private:
  WinogradSeconds* own;
  std::chrono::steady_clock::time_point last;
};

}  // namespace fastconv::cpu
