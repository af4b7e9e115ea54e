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

// Neighbouring residues r, r + 1, .. and q, q + 1, .. whose small images have equal extents and padding.
struct ResidueRun {
  int64_t r, q, count;
  int64_t source, outputs;  // rows of a small image
  int64_t before, after;    // its padding
};

struct ResidueAxis {
  int64_t I, O, K, pad, dilation;

  ResidueRun residue(int64_t r) const {
    const int64_t shift = (r - pad) % dilation, q = shift < 0 ? shift + dilation : shift;
    const int64_t source = ceil_div(I - q, dilation), outputs = ceil_div(O - r, dilation);
    const int64_t before = (pad - r + q) / dilation;
    return {r, q, 1, source, outputs, before, outputs + K - 1 - source - before};
  }
  // The run that begins at r.
  ResidueRun run(int64_t r) const {
    ResidueRun all = residue(r);
    for (; r + all.count < dilation; ++all.count) {
      const ResidueRun next = residue(r + all.count);
      if (next.q != all.q + all.count || next.source != all.source || next.outputs != all.outputs ||
          next.before != all.before)
        break;
    }
    return all;
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

// The residues of a run of rows and a run of columns: N * rows.count * columns.count small images of
// equal extents, numbered (n, row, column).
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

template <class F>
void for_each_residues(const Conv2dShape& s, const F& f) {
  const ResidueAxis h = residue_rows(s), w = residue_columns(s);
  for (int64_t r_h = 0; r_h < h.dilation;) {
    const ResidueRun rows = h.run(r_h);
    for (int64_t r_w = 0; r_w < w.dilation;) {
      const ResidueRun columns = w.run(r_w);
      f(Residues{rows, columns});
      r_w += columns.count;
    }
    r_h += rows.count;
  }
}

// The small images of one tensor: where they lie in it, and copies of some of them that are dense.
struct SmallImages {
  Strides large, small;  // elements between neighbours, in the tensor and in the copies
  int64_t first_row, first_column, row_count, column_count;  // of the residues
  int64_t dilation_h, dilation_w;
  int64_t C, H, W;
  bool channels_last;

  SmallImages(const Strides& strides, bool channels_are_last, int64_t channels, const Residues& of,
              const Conv2dShape& s, bool of_x)
      : large(strides),
        first_row(of_x ? of.rows.q : of.rows.r),
        first_column(of_x ? of.columns.q : of.columns.r),
        row_count(of.rows.count),
        column_count(of.columns.count),
        dilation_h(residue_rows(s).dilation),
        dilation_w(residue_columns(s).dilation),
        C(channels),
        H(of_x ? of.rows.source : of.rows.outputs),
        W(of_x ? of.columns.source : of.columns.outputs),
        channels_last(channels_are_last) {
    small = dense_strides(channels_last, C, H, W);
  }
  // The first element of a small image in the tensor.
  int64_t place(int64_t image) const {
    const int64_t column = image % column_count, row = image / column_count % row_count;
    return image / column_count / row_count * large.n + (first_row + row) * large.h +
           (first_column + column) * large.w;
  }
};

inline SmallImages small_images_of_x(const Conv2dShape& s, const Residues& of) {
  return {s.x_strides(), s.x_channels_last, s.IC, of, s, true};
}
inline SmallImages small_images_of_y(const Conv2dShape& s, const Residues& of) {
  return {s.y_strides(), s.y_channels_last, s.OC, of, s, false};
}

}  // namespace fastconv::cpu
