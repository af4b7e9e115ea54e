// Gradients of pooling on NCHW planes in vectors along a row (windows: ../../core/shape.h):
//   max   grad_x[ih,iw] = sum of grad_y[oh,ow] over the windows whose maximum, by its code, is there
//   avg   grad_x[ih,iw] = sum of grad_y[oh,ow] / divisor over the windows that hold (ih, iw)
// Pixels gather, so no two threads meet: for each vector of pixels, over the output rows above it
// and the window columns that reach it, worked out once per column of vectors for all rows.

// What one output row adds to the pixels that window element (kh, k) takes from it.
template <class T, class Code>
struct MaxGradient {
  const T* grad_y;
  const Code* codes;

  FASTCONV_LEAF Vec<T> at(const Pool2dShape& s, int64_t oh, int64_t j0, LaneRange<T> outputs,
                          int64_t kh, int64_t k) const {
    const int64_t from = oh * s.OW + j0;
    const auto selected = load_codes<T>(codes + from, outputs) ==
                          broadcast(static_cast<LaneInteger<T>>(kh * s.KW + k));
    const Vec<T> g = load_range(grad_y + from, outputs, T(0));
    return selected ? g : Vec<T>{};
  }
};

template <class T>
struct AvgGradient {
  const T* grad_y;

  FASTCONV_LEAF Vec<T> at(const Pool2dShape& s, int64_t oh, int64_t j0, LaneRange<T> outputs,
                          int64_t, int64_t) const {
    const Vec<T> g = load_range(grad_y + oh * s.OW + j0, outputs, T(0));
    return g / (column_divisors<T>(s, j0) * static_cast<T>(row_divisor(s, oh)));
  }
};

// Pixels iw, iw + stride, ... of a row lie under outputs j0, j0 + 1, ... at window column k where
// j0 * stride = iw + pad_w
// - k * dilation_w, if that is whole. As for WindowColumns, this is worked out once for all rows.
template <class T, int STRIDE, int KW>
struct CoveringOutputs {
  struct Tap {
    int64_t k, j0;
    LaneRange<T> outputs;
  };
  int64_t column;  // iw + pad_w
  int64_t stride, dilation, OW, window;
  int taps = 0;  // those kept, from the right
  Tap kept[KEPT_RANGES];

  FASTCONV_LEAF CoveringOutputs(const Pool2dShape& s, int64_t iw) {
    column = iw + s.pad_w;
    stride = STRIDE ? STRIDE : s.stride_w;
    dilation = s.dilation_w;
    OW = s.OW;
    window = KW ? KW : s.KW;
    if (window > KEPT_RANGES) return;
    for (int64_t k = window - 1; k >= 0; --k)
      if (covers(k)) kept[taps++] = tap(k);
  }
  FASTCONV_LEAF bool covers(int64_t k) const { return (column - k * dilation) % stride == 0; }
  FASTCONV_LEAF Tap tap(int64_t k) const {
    const int64_t j0 = (column - k * dilation) / stride;
    return {k, j0, lane_range<T>(-j0, OW - j0)};
  }

  // The sum over output rows, then over window columns from the right: the order of torch.
  template <class Gradient>
  FASTCONV_LEAF Vec<T> sum(const Pool2dShape& s, const Gradient& gradient, Window rows,
                           int64_t ih) const {
    Vec<T> total{};
    for (int64_t oh = rows.first; oh < rows.end; ++oh) {
      int64_t kh = ih + s.pad_h - oh * s.stride_h;
      if (s.dilation_h != 1) {
        if (kh % s.dilation_h != 0) continue;
        kh /= s.dilation_h;
      }
      for (int i = 0; i < taps; ++i)
        total += gradient.at(s, oh, kept[i].j0, kept[i].outputs, kh, kept[i].k);
      if (window <= KEPT_RANGES) continue;
      for (int64_t k = window - 1; k >= 0; --k) {
        if (!covers(k)) continue;
        const Tap t = tap(k);
        total += gradient.at(s, oh, t.j0, t.outputs, kh, k);
      }
    }
    return total;
  }
};

// Output rows over an input row, stepped along with it: divisions would cost as much as a row.
struct CoveringRows {
  Window rows;

  FASTCONV_LEAF CoveringRows(const Pool2dShape& s, int64_t ih) {
    const int64_t after = ih + s.pad_h - (s.KH - 1) * s.dilation_h;
    rows = {after <= 0 ? 0 : ceil_div(after, s.stride_h),
            min64((ih + s.pad_h) / s.stride_h + 1, s.OH)};
  }
  FASTCONV_LEAF void advance_to(const Pool2dShape& s, int64_t ih) {
    while (rows.first * s.stride_h - s.pad_h + (s.KH - 1) * s.dilation_h < ih) ++rows.first;
    while (rows.end < s.OH && rows.end * s.stride_h - s.pad_h <= ih) ++rows.end;
  }
};

template <class T, int STRIDE, int KW, class Gradient>
FASTCONV_LEAF void gradient_rows_at(const Pool2dShape& shape, const PoolPlane<T>& p,
                                    const Gradient& gradient) {
  constexpr int L = LANES<T>;
  const Pool2dShape s = shape;  // a copy of our own, which stores cannot change
  constexpr int STEP = STRIDE == 2 ? 2 : 1;
  for (int64_t iw = 0; iw < s.IW; iw += STRIDE ? STEP * L : 1) {
    if (STRIDE == 0 && iw % (s.stride_w * L) >= s.stride_w) continue;
    const CoveringOutputs<T, STRIDE, KW> even(s, iw), odd(s, iw + STEP - 1);
    CoveringRows over(s, p.first);
    for (int64_t ih = p.first; ih < p.end; ++ih) {
      over.advance_to(s, ih);
      T* row = p.y + ih * s.IW + iw;
      const Vec<T> a = even.sum(s, gradient, over.rows, ih);
      if constexpr (STRIDE == 1) {
        store_first(row, a, lanes_left(s.IW - iw, L));
      } else if constexpr (STRIDE == 2) {
        const Vec<T> b = odd.sum(s, gradient, over.rows, ih);
        store_first(row, zip<T, 0>(a, b), lanes_left(s.IW - iw, L));
        if (s.IW - iw > L) store_first(row + L, zip<T, 1>(a, b), lanes_left(s.IW - iw - L, L));
      } else {
        for (int i = 0; i < L && iw + i * s.stride_w < s.IW; ++i) row[i * s.stride_w] = a[i];
      }
    }
  }
}

// Windows of 2 x 2 that tile the image, the commonest pooling: each output is read once and spread
// over its four inputs.
template <class T, class Gradient>
FASTCONV_LEAF void tiled_gradient_rows(const Pool2dShape& shape, const PoolPlane<T>& p,
                                       const Gradient& gradient) {
  constexpr int L = LANES<T>;
  const Pool2dShape s = shape;  // a copy of our own, which stores cannot change
  for (int64_t oh = p.first / 2; oh < ceil_div(p.end, 2); ++oh)
    for (int64_t iw = 0; iw < s.IW; iw += 2 * L) {
      const LaneRange<T> outputs = lane_range<T>(0, oh < s.OH ? s.OW - iw / 2 : 0);
#pragma GCC unroll 2
      for (int64_t kh = 0; kh < 2; ++kh) {
        const Vec<T> a = gradient.at(s, oh, iw / 2, outputs, kh, 0);
        const Vec<T> b = gradient.at(s, oh, iw / 2, outputs, kh, 1);
        const int64_t ih = 2 * oh + kh;
        if (ih < p.first || ih >= p.end) continue;
        T* row = p.y + ih * s.IW + iw;
        store_first(row, zip<T, 0>(a, b), lanes_left(s.IW - iw, L));
        if (s.IW - iw > L) store_first(row + L, zip<T, 1>(a, b), lanes_left(s.IW - iw - L, L));
      }
    }
}

template <class T, class Gradient>
FASTCONV_LEAF void gradient_rows(const Pool2dShape& s, const PoolPlane<T>& p,
                                 const Gradient& gradient) {
  const bool tiles = s.KH == 2 && s.KW == 2 && s.stride_h == 2 && s.stride_w == 2 && s.pad_h == 0 &&
                     s.pad_w == 0 && s.dilation_h == 1 && s.dilation_w == 1;
  if (tiles)
    tiled_gradient_rows(s, p, gradient);
  else if (s.stride_w == 2 && s.KW == 2)
    gradient_rows_at<T, 2, 2>(s, p, gradient);
  else if (s.stride_w == 2 && s.KW == 3)
    gradient_rows_at<T, 2, 3>(s, p, gradient);
  else if (s.stride_w == 2)
    gradient_rows_at<T, 2, 0>(s, p, gradient);
  else if (s.stride_w == 1)
    gradient_rows_at<T, 1, 0>(s, p, gradient);
  else
    gradient_rows_at<T, 0, 0>(s, p, gradient);
}

template <class T, class Code>
void max_pool_gradient_rows(const Pool2dShape& s, const PoolPlane<T>& p, const Code* codes) {
  gradient_rows(s, p, MaxGradient<T, Code>{p.x, codes});
}

template <class T>
void avg_pool_gradient_rows(const Pool2dShape& s, const PoolPlane<T>& p) {
  gradient_rows(s, p, AvgGradient<T>{p.x});
}
