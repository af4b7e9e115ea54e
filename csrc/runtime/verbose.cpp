// The lines of FASTCONV_VERBOSE (verbose.h). Layer: runtime.
#include "verbose.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace fastconv::runtime {
namespace {

std::string times(std::initializer_list<int64_t> extents) {
  std::string text;
  for (const int64_t extent : extents) text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

std::string unless(const char* name, std::initializer_list<int64_t> extents, int64_t usual) {
  bool all_usual = true, all_equal = true;
  for (const int64_t extent : extents) {
    all_usual = all_usual && extent == usual;
    all_equal = all_equal && extent == *extents.begin();
  }
  if (all_usual) return "";
  return std::string(", ") + name + " " +
         (all_equal ? std::to_string(*extents.begin()) : times(extents));
}

}  // namespace

bool verbose() {
  static const bool on = [] {
    const char* value = std::getenv("FASTCONV_VERBOSE");
    return value && *value && std::strcmp(value, "0") != 0;
  }();
  return on;
}

std::string describe(const Conv2dShape& s) {
  return times({s.N, s.IC, s.IH, s.IW}) + " -> " + times({s.OC, s.OH(), s.OW()}) + ", " +
         times({s.KH, s.KW}) + unless("stride", {s.stride_h, s.stride_w}, 1) +
         unless("padding", {s.pad_top, s.pad_bottom, s.pad_left, s.pad_right}, 0) +
         unless("dilation", {s.dilation_h, s.dilation_w}, 1) + unless("groups", {s.groups}, 1) +
         (s.x_channels_last ? ", channels_last" : "");
}

std::string describe(const Pool2dShape& s) {
  const std::string plane = times({s.N, s.C, s.IH, s.IW}) + " -> " + times({s.OH, s.OW});
  const std::string window = times({s.KH, s.KW}) + unless("stride", {s.stride_h, s.stride_w}, 1) +
                             unless("padding", {s.pad_h, s.pad_w}, 0) +
                             unless("dilation", {s.dilation_h, s.dilation_w}, 1);
  return plane + ", " + (s.adaptive ? std::string("adaptive") : window) +
         (s.channels_last ? ", channels_last" : "");
}

std::string describe(const UnpoolShape& s) {
  if (s.is_volume) return times({s.N, s.C, s.ID, s.IH, s.IW}) + " -> " + times({s.OD, s.OH, s.OW});
  return times({s.N, s.C, s.IH, s.IW}) + " -> " + times({s.OH, s.OW}) +
         (s.channels_last ? ", channels_last" : "");
}

void VerboseLine::begin(std::string line) {
  text = std::move(line);
  start = std::chrono::steady_clock::now();
}

void VerboseLine::end() {
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
  std::fprintf(stderr, "fastconv %s, %.3f ms\n", text.c_str(), time.count());
}

}  // namespace fastconv::runtime
