// How a dilated layer with stride 1 becomes layers without dilation. Layer: cpu/dilated.
//   y[n,m, r + i*d, ..] = sum over a,.. of w[m,c,a,..] * x[n,c, r - pad + (i + a)*d, ..]
// The outputs whose row is r modulo the dilation d read the inputs whose row is q = r - pad modulo d,
// and no others. Both are rows of small images, and there the filter is not dilated:
//   y_r[n,m,i,..] = sum over a,.. of w[m,c,a,..] * x_q[n,c, i + a - before, ..]
//   x_q[i] = x[q + i*d],  y_r[i] = y[r + i*d],  before = (pad - r + q) / d
// Columns are treated alike, so a layer becomes dilation_h * dilation_w batches of small images.
#pragma once

#include "../../core/shape.h"

namespace fastconv::cpu {

// The small image of one residue, along one axis.
struct Residue {
  int64_t r, q;
  int64_t source, outputs;  // rows
  int64_t before;           // its padding
};

// Some neighbouring residues whose small images are computed with equal extents and padding.
struct ResidueRun {
  int64_t first, count;     // r
  int64_t source, outputs;  // rows of a small image
  int64_t before, after;    // its padding
};

struct ResidueAxis {
  int64_t I, O, K, pad, dilation;

  Residue residue(int64_t r) const {
    const int64_t shift = (r - pad) % dilation, q = shift < 0 ? shift + dilation : shift;
    return {r, q, ceil_div(I - q, dilation), ceil_div(O - r, dilation), (pad - r + q) / dilation};
  }
  ResidueRun run_of(int64_t first, int64_t count, int64_t source, int64_t outputs,
                    int64_t before) const {
    return {first, count, source, outputs, before, outputs + K - 1 - source - before};
  }
  // The residues from r on that are alike.
  ResidueRun equal_run(int64_t r) const {
    const Residue one = residue(r);
    int64_t count = 1;
    for (; r + count < dilation; ++count) {
      const Residue next = residue(r + count);
      if (next.source != one.source || next.outputs != one.outputs || next.before != one.before)
        break;
    }
    return run_of(r, count, one.source, one.outputs, one.before);
  }
  // All residues. Their small images get rows of zeros, before and after, and outputs that are not used.
  ResidueRun whole_run() const {
    int64_t before = residue(0).before, end = 0, outputs = 0;
    for (int64_t r = 0; r < dilation; ++r) {
      const Residue one = residue(r);
      before = min64(before, one.before);
      end = max64(end, one.source + one.before);
      outputs = max64(outputs, one.outputs);
    }
    return run_of(0, dilation, end - before, outputs, before);
  }
};

// A single tap is as good as undilated.
constexpr int64_t dilation_of(int64_t K, int64_t dilation) { return K == 1 ? 1 : dilation; }

inline ResidueAxis residue_rows(const Conv2dShape& s) {
  return {s.IH, s.OH(), s.KH, s.pad_top, dilation_of(s.KH, s.dilation_h)};
}
inline ResidueAxis residue_columns(const Conv2dShape& s) {
  return {s.IW, s.OW(), s.KW, s.pad_left, dilation_of(s.KW, s.dilation_w)};
}

// A run of rows and a run of columns: N * rows.count * columns.count small images, numbered
// (n, row, column), which are the batch of one layer without dilation.
struct Residues {
  ResidueRun rows, columns;

  int64_t images(const Conv2dShape& s) const { return s.N * rows.count * columns.count; }
  Conv2dShape layer(const Conv2dShape& s, int64_t images) const {
    Conv2dShape small = s;
    small.N = images;
    small.IH = rows.source, small.IW = columns.source;
    small.pad_top = rows.before, small.pad_bottom = rows.after;
    small.pad_left = columns.before, small.pad_right = columns.after;
    small.dilation_h = small.dilation_w = 1;
    return small;
  }
};

// How residues are divided into layers. Each layer transforms its filters anew, so Winograd takes all
// residues as one: a tile computes 4 x 4 outputs, used or not. The path of small maps multiplies no tap
// that sees padding, and takes those that are alike.
enum class Division { whole, equal };

template <Division DIVISION, class F>
void for_each_residues(const Conv2dShape& s, const F& f) {
  const ResidueAxis h = residue_rows(s), w = residue_columns(s);
  if (DIVISION == Division::whole) return f(Residues{h.whole_run(), w.whole_run()});
  for (int64_t r_h = 0; r_h < h.dilation;) {
    const ResidueRun rows = h.equal_run(r_h);
    for (int64_t r_w = 0; r_w < w.dilation;) {
      const ResidueRun columns = w.equal_run(r_w);
      f(Residues{rows, columns});
      r_w += columns.count;
    }
    r_h += rows.count;
  }
}

// The small images of one tensor, and dense copies of some of them.
struct SmallImages {
  ResidueAxis h, w;
  Residues of;
  bool is_x;
  int64_t C, H, W;       // of a copy
  Strides large, small;  // elements between neighbours, in the tensor and in the copies
  bool channels_last;

  static SmallImages of_x(const Conv2dShape& s, const Residues& r) {
    return {residue_rows(s),
            residue_columns(s),
            r,
            true,
            s.IC,
            r.rows.source,
            r.columns.source,
            s.x_strides(),
            dense_strides(s.x_channels_last, s.IC, r.rows.source, r.columns.source),
            s.x_channels_last};
  }
  static SmallImages of_y(const Conv2dShape& s, const Residues& r) {
    return {residue_rows(s),
            residue_columns(s),
            r,
            false,
            s.OC,
            r.rows.outputs,
            r.columns.outputs,
            s.y_strides(),
            dense_strides(s.y_channels_last, s.OC, r.rows.outputs, r.columns.outputs),
            s.y_channels_last};
  }

  // The rows `first` .. `first + count` - 1 of a copy are rows of the tensor from `at` on, by steps of
  // the dilation. Its other rows are zero.
  struct Rows {
    int64_t first, count, at;
  };
  Rows rows(const ResidueAxis& axis, const ResidueRun& run, int64_t i) const {
    const Residue r = axis.residue(run.first + i);
    if (is_x) return {r.before - run.before, r.source, r.q};
    return {0, r.outputs, r.r};
  }
  struct Place {
    Rows rows, columns;
    int64_t n;
  };
  Place place(int64_t image) const {
    const int64_t columns = of.columns.count, count = of.rows.count;
    return {rows(h, of.rows, image / columns % count), rows(w, of.columns, image % columns),
            image / columns / count};
  }
};

}  // namespace fastconv::cpu
