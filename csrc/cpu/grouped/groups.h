// How the channels of a grouped convolution are dealt to vectors, and by which leaf kernels. Layer:
// cpu/grouped, for drivers.
#pragma once

#include <cstdint>

#include "../../core/shape.h"
#include "../common/isa.h"
#include "../common/lanes.h"
#include "../simd/table.h"
#include "table.h"

namespace fastconv::cpu {

// Lanes are output channels. Vectors of a unit read the same packed vector of inputs:
//   whole groups in a vector   2, 4 or 8 channels in and out: a unit is one vector
//   a group of whole vectors   the outputs of a group: a unit is a group
// The last vector of whole groups overlaps the one before it. With fewer channels than lanes there is
// one vector, and its other lanes hold zeros.
template <class T>
struct GroupChannels {
  int64_t groups, inputs, outputs;  // inputs and outputs of a group
  Isa isa;
  const RowKernels<T>& k;
  int64_t lanes;
  int kind = -1;  // of leaf kernels; -1: there is none

  GroupChannels(int64_t groups_, int64_t inputs_, int64_t outputs_)
      : groups(groups_),
        inputs(inputs_),
        outputs(outputs_),
        isa(isa_for_channels(groups_ * outputs_, sizeof(T))),
        k(row_kernels<T>(isa)),
        lanes(k.lanes) {
    if (inputs == outputs && inputs < lanes) {
      if (inputs == 2) kind = 1;
      if (inputs == 4) kind = 2;
      if (inputs == 8) kind = 3;
    } else if (outputs > 0 && outputs % lanes == 0) {
      kind = GroupedKernels<T>::SAME;
    }
  }
  const typename GroupedKernels<T>::Kind& kernels() const {
    return grouped_kernels<T>(isa).kinds[kind];
  }
  bool same() const { return kind == GroupedKernels<T>::SAME; }

  int64_t channels() const { return groups * outputs; }
  int64_t units() const { return same() ? groups : ceil_div(channels(), lanes); }
  int64_t unit_vectors() const { return same() ? outputs / lanes : 1; }
  int64_t vectors() const { return units() * unit_vectors(); }
  int64_t used() const {
    return min64(channels(), lanes);
  }  // lanes of a vector that have a channel
  // The first output channel of a vector.
  int64_t first(int64_t vector) const {
    return same() ? vector * lanes : max64(0, min64(vector * lanes, channels() - lanes));
  }
  // Lanes of a vector that the vector before it has too.
  int64_t shared(int64_t vector) const { return vector * lanes - first(vector); }
  // The input channels of a unit, and how many elements a packed pixel of them takes.
  LaneChannels inputs_of(int64_t unit) const {
    return same() ? LaneChannels{unit * inputs, 1, inputs} : LaneChannels{first(unit), 1, used()};
  }
  int64_t input_width() const { return same() ? inputs : lanes; }
  // Whether both tensors can be read as they are, if their channels are neighbours.
  bool in_place() const { return same() || channels() >= lanes; }
};

}  // namespace fastconv::cpu
