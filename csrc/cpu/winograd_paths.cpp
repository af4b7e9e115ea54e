// Which convolutions Winograd runs, and for which it is expected to be the fastest path (measured:
// docs/performance-log.md). Layer: cpu.
#include "winograd.h"

namespace fastconv::cpu {

WinogradConv winograd_forward(const Conv2dShape& s) {
  return {s.N,        s.groups,      s.group_IC(),  s.group_OC(),  s.KH,
          s.IH,       s.IW,          s.OH(),        s.OW(),        s.pad_top,
          s.pad_left, s.x_strides(), s.w_strides(), s.y_strides(), s.group_OC() * s.w_strides().n,
          false};
}

WinogradConv winograd_backward_input(const Conv2dShape& s) {
  const Strides w = s.w_strides();
  return {s.N,
          s.groups,
          s.group_OC(),
          s.group_IC(),
          s.KH,
          s.OH(),
          s.OW(),
          s.IH,
          s.IW,
          s.KH - 1 - s.pad_top,
          s.KW - 1 - s.pad_left,
          s.y_strides(),
          Strides{w.c, w.n, w.h, w.w},
          s.x_strides(),
          s.group_OC() * w.n,
          true};
}

bool winograd_runs(const Conv2dShape& s) {
  constexpr int64_t MAX_CHANNELS = 1 << 16, MAX_FILTERS = 1 << 28;  // points fit memory and int64
  return s.group_IC() <= MAX_CHANNELS && s.group_OC() <= MAX_CHANNELS &&
         product_below(MAX_FILTERS, s.OC, s.group_IC(), 1) && s.KH == s.KW &&
         (s.KH == 3 || s.KH == 5) && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 &&
         s.dilation_w == 1 && s.N > 0 && s.group_IC() > 0 && s.group_OC() > 0 && s.OH() > 0 &&
         s.OW() > 0 && s.IH > 0 && s.IW > 0;
}

bool winograd_pays_forward(const Conv2dShape& s) { return winograd_runs(s); }
bool winograd_pays_backward_input(const Conv2dShape& s) { return winograd_runs(s); }
bool winograd_pays_backward_weight(const Conv2dShape& s) { return winograd_runs(s); }

}  // namespace fastconv::cpu
