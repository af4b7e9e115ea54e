// How long a dilated layer takes as small layers without dilation: their own estimates, and the copies
// (csrc/cpu/dilated). Layer: cpu/paths.
#include "../dilated/residues.h"
#include "estimates.h"

namespace fastconv::cpu {
namespace {

using namespace dilated_work;

void add(const Estimate& more, Estimate& all) {
  for (int i = 0; i < more.count; ++i) {
    int same = 0;
    while (same < all.count && all.parts[same].work != more.parts[i].work) ++same;
    if (same < all.count)
      all.parts[same].times += more.parts[i].times;
    else if (all.count < Estimate::MOST_PARTS)
      all.parts[all.count++] = more.parts[i];
  }
}

template <Division DIVISION>
Estimate estimate_of_residues(const Conv2dShape& s, Estimate (*of_small)(const Conv2dShape&)) {
  const double runs = double(s.x_channels_last ? s.N * s.IH * s.IW : 0) +
                      double(s.y_channels_last ? s.N * s.OH() * s.OW() : 0);
  const double strided =
      double(s.x_channels_last ? 0 : s.x_count()) + double(s.y_channels_last ? 0 : s.y_count());
  const double elements = double(s.x_count()) + double(s.y_count());
  int64_t layers = 0;
  Estimate all;
  for_each_residues<DIVISION>(s, [&](const Residues& of) {
    add(of_small(of.layer(s, of.images(s))), all);
    ++layers;
  });
  const double times[] = {elements - strided, runs, strided, double(layers)};
  add(estimate_of(DILATED_COSTS, times), all);
  return all;
}

}  // namespace

template <class T, Direction DIRECTION>
Estimate estimate_dilated_winograd(const Conv2dShape& s) {
  return estimate_of_residues<Division::whole>(s, estimate_winograd<T, DIRECTION>);
}
template <class T, Direction DIRECTION>
Estimate estimate_dilated_small_map(const Conv2dShape& s) {
  return estimate_of_residues<Division::equal>(s, estimate_small_map<T, DIRECTION>);
}

#define INSTANTIATE_DIRECTION(T, DIRECTION)                                      \
  template Estimate estimate_dilated_winograd<T, DIRECTION>(const Conv2dShape&); \
  template Estimate estimate_dilated_small_map<T, DIRECTION>(const Conv2dShape&);
#define INSTANTIATE(T)                         \
  INSTANTIATE_DIRECTION(T, Direction::forward) \
  INSTANTIATE_DIRECTION(T, Direction::backward_input)
FASTCONV_FOR_EACH_ELEMENT(INSTANTIATE)

}  // namespace fastconv::cpu
