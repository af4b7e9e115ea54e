// Chooses a path of conv2d. The first path without an estimate that supports the shape, is
// profitable for it and is not disabled runs. If there is none, the path with the least estimate
// runs. Layer: runtime.
#pragma once

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "../core/conv2d.h"
#include "recent.h"
#include "switches.h"

namespace fastconv::runtime {

template <class Device, class Buffers>
using PathOf = Conv2dPath<Buffers, typename Device::Context>;

template <class Device, class Buffers>
auto paths() {
  return Device::paths(static_cast<const Buffers*>(nullptr));
}

// Returns why a path does not run a shape. Null: it runs the shape if its estimate is the least.
template <class Path>
WhyNot why_not(const Path& path, const Conv2dShape& shape) {
  if (const WhyNot why = path.supports(shape)) return why;
  if (!path.estimate)
    if (const WhyNot why = path.is_profitable(shape)) return why;
  return path.can_be_disabled && disabled_paths().has(path.name) ? "it is disabled" : HOLDS;
}

template <class Device, class Buffers>
const PathOf<Device, Buffers>* choose_anew(const Conv2dShape& shape) {
  const PathOf<Device, Buffers>* best = nullptr;
  double least = 0;
  for (const auto& path : paths<Device, Buffers>()) {
    if (why_not(path, shape) != HOLDS) continue;
    if (!path.estimate) return &path;
    const double nanoseconds = path.estimate(shape).nanoseconds();
    if (!best || nanoseconds < least) best = &path, least = nanoseconds;
  }
  return best;
}

// The extents and layouts of a shape as words.
struct ShapeWords {
  static constexpr int COUNT = 17;
  int64_t word[COUNT];

  explicit ShapeWords(const Conv2dShape& s)
      : word{s.N,
             s.IC,
             s.IH,
             s.IW,
             s.OC,
             s.KH,
             s.KW,
             s.stride_h,
             s.stride_w,
             s.pad_top,
             s.pad_bottom,
             s.pad_left,
             s.pad_right,
             s.dilation_h,
             s.dilation_w,
             s.groups,
             s.x_channels_last + 2 * s.w_channels_last + 4 * s.y_channels_last} {}
};

// Returns the path that runs a shape. An estimate takes microseconds, so each thread remembers the
// choices for its last shapes.
template <class Device, class Buffers>
const PathOf<Device, Buffers>& chosen(const Conv2dShape& shape) {
  struct Choice {
    int64_t word[ShapeWords::COUNT];
    uint64_t version;
    const PathOf<Device, Buffers>* path;  // null: none yet
  };
  constexpr size_t CHOICES = 64;  // a power of two
  thread_local Choice choices[CHOICES];
  const ShapeWords words(shape);
  const uint64_t version = disabled_paths().version();
  Choice& choice = choices[hash_of(words.word, ShapeWords::COUNT) % CHOICES];
  const bool known = choice.path && choice.version == version &&
                     std::memcmp(choice.word, words.word, sizeof words.word) == 0;
  if (!known) {
    choice.path = choose_anew<Device, Buffers>(shape);
    choice.version = version;
    std::memcpy(choice.word, words.word, sizeof words.word);
  }
  return *choice.path;
}

// Returns the path `name`, or with "" the path that runs the shape.
template <class Device, class Buffers>
const PathOf<Device, Buffers>& choose(const Conv2dShape& shape, const std::string& name) {
  if (name.empty()) return chosen<Device, Buffers>(shape);
  for (const auto& path : paths<Device, Buffers>()) {
    if (path.name != name) continue;
    if (const WhyNot why = path.supports(shape))
      throw std::invalid_argument("path '" + name + "' does not support this shape: " + why);
    return path;
  }
  throw std::invalid_argument("no path is named '" + name + "'");
}

// What a path answers for a shape.
struct PathAnswer {
  std::string name;
  bool supported;
  std::string why_not;  // empty: this path runs the shape, or would if its estimate were the least
  bool chosen;
  bool is_plain_sum, can_be_disabled;
  Estimate estimate;  // of no parts where the path has none
};
template <class Device, class Buffers>
std::vector<PathAnswer> explain(const Conv2dShape& shape) {
  std::vector<PathAnswer> answers;
  const auto* best = choose_anew<Device, Buffers>(shape);
  for (const auto& path : paths<Device, Buffers>()) {
    const WhyNot why = why_not(path, shape);
    const bool supported = path.supports(shape) == HOLDS;
    answers.push_back({path.name, supported, why ? why : "", &path == best, path.is_plain_sum,
                       path.can_be_disabled,
                       supported && path.estimate ? path.estimate(shape) : Estimate{}});
  }
  return answers;
}

// Returns the estimates of the paths that can run a shape, in order, in milliseconds: "estimated:
// winograd 0.420, gemm 0.610".
template <class Device, class Buffers>
std::string estimates(const Conv2dShape& shape) {
  std::string text = "estimated:";
  for (const auto& path : paths<Device, Buffers>()) {
    if (why_not(path, shape) != HOLDS || !path.estimate) continue;
    char one[64];
    std::snprintf(one, sizeof one, " %s %.3f,", path.name,
                  path.estimate(shape).nanoseconds() / 1e6);
    text += one;
  }
  text.pop_back();
  return text;
}

}  // namespace fastconv::runtime
