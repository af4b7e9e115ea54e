// Gradients of pooling on NCHW planes in vectors along a row (windows: ../../core/shape.h):
//   max   grad_x[ih,iw] = grad_y[oh,ow] of the 2 x 2 window whose maximum, by its code, is there
//   avg   grad_x[ih,iw] = sum of grad_y[oh,ow] / divisor over the windows that hold (ih, iw)
// Each vector of pixels gathers from the output rows over it and the window columns that reach it,
// so no two threads write the same element. The window columns are found once for each column of
// vectors, for all rows. Loads and stores are whole, as in rows.inl.

// A vector of outputs; Gradient::read gives `of(code)`, what they add to the pixels under window element
// `code`. `at`: of lane 0, counted from the first plane.
template <class T>
struct OutputsRead {
  int64_t at;
  LaneRange<T> range;           // BOUNDED: lanes that may be read
  Vec<LaneInteger<T>> counted;  // MASKED: lanes that count
};

template <Reads READS, class T>
FASTCONV_LEAF Vec<T> read_outputs(const T* grad_y, const OutputsRead<T>& r) {
  if constexpr (READS == Reads::BOUNDED) return load_range(grad_y + r.at, r.range, Lane<T>(0));
  const Vec<T> g = load(grad_y + r.at);
  if constexpr (READS == Reads::INSIDE) return g;
  return r.counted ? g : Vec<T>{};
}

template <class T>
struct AvgGradient {
  const T* grad_y;

  struct Outputs {
    Vec<T> g;
    FASTCONV_LEAF Vec<T> of(int64_t) const { return g; }
  };
  template <Reads READS>
  FASTCONV_LEAF Outputs read(const OutputsRead<T>& r, Vec<T> factors) const {
    return {read_outputs<READS>(grad_y, r) * factors};
  }
  // 1 / extent in columns of the windows of outputs j, j + 1, ...
  FASTCONV_LEAF Vec<T> factors(const Pool2dShape& s, int64_t j) const {
    return broadcast(Lane<T>(1)) / column_divisors<T>(s, j);
  }
  FASTCONV_LEAF Vec<T> row_factors(const Pool2dShape& s, Vec<T> factors, int64_t oh) const {
    return factors / broadcast(static_cast<Lane<T>>(row_divisor(s, oh)));
  }
};

// Pixels iw, iw + stride, ... of a row lie under outputs j0, j0 + 1, ... at window column k where
// j0 * stride = iw + pad_w - k * dilation_w, if that is whole. As for WindowColumns, this is worked
// out once for all rows. What runs once, or seldom, is a call: in line it would be most of the code.
template <class T>
struct CoveringOutputs {
  struct Tap {
    int64_t k, j0;
    LaneRange<T> range;
    Vec<LaneInteger<T>> counted;
    Vec<T> factors;
  };
  int64_t column;  // iw + pad_w
  int64_t stride, dilation, OW, window;
  int64_t low, high;  // columns of outputs [low, high) that whole loads read
  Reads reads;        // of rows away from the ends of the tensor
  int taps = 0;       // those kept, from the right
  Tap kept[KEPT_MASKS];

  // The pixels of `pixels` lanes are in the image.
  template <class Gradient>
  __attribute__((noinline)) CoveringOutputs(const Pool2dShape& s, const Gradient& gradient,
                                            int64_t iw, int pixels) {
    column = iw + s.pad_w;
    stride = s.stride_w;
    dilation = s.dilation_w;
    OW = s.OW;
    window = s.KW;
    low = (column - (window - 1) * dilation) / stride - 1;
    high = column / stride + LANES<T>;
    reads = low + 1 >= 0 && column / stride + pixels <= OW ? Reads::INSIDE : Reads::MASKED;
    if (window > KEPT_MASKS) return;
    for (int64_t k = window - 1; k >= 0; --k)
      if (covers(k)) kept[taps++] = tap(s, gradient, k);
  }
  FASTCONV_LEAF bool covers(int64_t k) const { return (column - k * dilation) % stride == 0; }
  template <class Gradient>
  FASTCONV_LEAF Tap tap(const Pool2dShape& s, const Gradient& gradient, int64_t k) const {
    const int64_t j0 = (column - k * dilation) / stride;
    const auto j = ramp(LaneInteger<T>(1)) + static_cast<LaneInteger<T>>(j0);
    return {k, j0, lane_range<T>(-j0, OW - j0), (j >= 0) & (j < static_cast<LaneInteger<T>>(OW)),
            gradient.factors(s, j0)};
  }

  // Of one output row, under a window that has more columns than are kept.
  template <Reads READS, class Gradient>
  __attribute__((noinline)) Vec<T> sum_of_wide_row(const Pool2dShape& s, const Gradient& gradient,
                                                   int64_t row) const {
    Vec<T> sum{};
    for (int64_t k = window - 1; k >= 0; --k) {
      if (!covers(k)) continue;
      const Tap t = tap(s, gradient, k);
      sum += gradient.template read<READS>({row + t.j0, t.range, t.counted}, t.factors).g;
    }
    return sum;
  }
  // The sum over output rows, then over window columns from the right: the order of torch.
  template <Reads READS, class Gradient>
  FASTCONV_LEAF Vec<T> sum(const Pool2dShape& s, const Gradient& gradient, int64_t plane,
                           Window rows) const {
    Vec<T> total{};
    for (int64_t oh = rows.first; oh < rows.end; ++oh) {
      const int64_t row = plane + oh * OW;
      Vec<T> of_row{};
      for (int i = 0; i < taps; ++i)
        of_row += gradient
                      .template read<READS>({row + kept[i].j0, kept[i].range, kept[i].counted},
                                            kept[i].factors)
                      .g;
      if (window > KEPT_MASKS) of_row = sum_of_wide_row<READS>(s, gradient, row);
      total += of_row / broadcast(static_cast<Lane<T>>(row_divisor(s, oh)));
    }
    return total;
  }
  template <class Gradient>
  __attribute__((noinline)) Vec<T> sum_within_bounds(const Pool2dShape& s, const Gradient& gradient,
                                                     int64_t plane, Window rows) const {
    return sum<Reads::BOUNDED>(s, gradient, plane, rows);
  }
  template <class Gradient>
  FASTCONV_LEAF Vec<T> sum(const Pool2dShape& s, const Gradient& gradient, const PoolPlanes<T>& p,
                           int64_t plane, Window rows) const {
    const T* x = p.x + plane;
    if (x + rows.first * OW + low < p.x_begin || x + (rows.end - 1) * OW + high > p.x_end)
      return sum_within_bounds(s, gradient, plane, rows);
    if (reads == Reads::INSIDE) return sum<Reads::INSIDE>(s, gradient, plane, rows);
    return sum<Reads::MASKED>(s, gradient, plane, rows);
  }
};

// Pixels `row`, of which `left` are of this row.
template <class T>
FASTCONV_LEAF void store_pixels(T* row, Vec<T> v, int64_t left, const T* end) {
  if (left > 0) store_first(row, v, lanes_stored(lanes_left(left, LANES<T>), row, end));
}

template <class T, int STRIDE, class Gradient>
FASTCONV_LEAF void gradient_rows_at(const Pool2dShape& shape, const PoolPlanes<T>& planes,
                                    const Gradient& gradient) {
  constexpr int L = LANES<T>;
  const Pool2dShape s = shape;  // copies of our own, which stores cannot change
  const PoolPlanes<T> p = planes;
  constexpr int STEP = STRIDE == 2 ? 2 : 1;
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  const T* end = p.y + (p.count - 1) * in + p.end * s.IW;
  const int64_t width = STRIDE ? STEP * L : 1;
  for (int64_t iw = (s.IW - 1) / width * width; iw >= 0; iw -= width) {
    if (STRIDE == 0 && iw % (s.stride_w * L) >= s.stride_w) continue;
    const int pixels = lanes_left(ceil_div(s.IW - iw, STRIDE ? STEP : s.stride_w), L);
    const CoveringOutputs<T> even(s, gradient, iw, pixels),
        odd(s, gradient, iw + STEP - 1, lanes_left((s.IW - iw) / STEP, L));
    for (int64_t plane = 0; plane < p.count; ++plane) {
      Window over = s.rows_over(p.first);
      for (int64_t ih = p.first; ih < p.end; ++ih) {
        over = s.vertical().over(ih, over);
        T* row = p.y + plane * in + ih * s.IW + iw;
        const Vec<T> a = even.sum(s, gradient, p, plane * out, over);
        if constexpr (STRIDE == 1) {
          store_pixels(row, a, s.IW - iw, end);
        } else if constexpr (STRIDE == 2) {
          const Vec<T> b = odd.sum(s, gradient, p, plane * out, over);
          store_pixels(row, zip<T, 0>(a, b), s.IW - iw, end);
          store_pixels(row + L, zip<T, 1>(a, b), s.IW - iw - L, end);
        } else {
          for (int i = 0; i < L && iw + i * s.stride_w < s.IW; ++i) row[i * s.stride_w] = a[i];
        }
      }
    }
  }
}

template <class T>
void avg_pool_gradient_rows(const Pool2dShape& s, const PoolPlanes<T>& p) {
  if (is_2x2_tiling(s)) return square_planes(s, p, AvgSquares<T>{p.x});
  const AvgGradient<T> gradient{p.x};
  if (s.stride_w == 2)
    gradient_rows_at<T, 2>(s, p, gradient);
  else if (s.stride_w == 1)
    gradient_rows_at<T, 1>(s, p, gradient);
  else
    gradient_rows_at<T, 0>(s, p, gradient);
}
