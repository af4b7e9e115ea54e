// Pooling of NCHW planes in vectors along a row (formulas: ../../shape.h). Max follows torch: a
// later element wins if it is greater or NaN, so the first maximum and the last NaN win.
//
// A vector of outputs at column j reads, for window column k, every stride_w-th element from j *
// stride_w - pad_w + k * dilation_w on: one load at stride 1, two loads and a shuffle at stride 2,
// single elements beyond. What falls outside the image is masked; masks depend on columns alone, so
// they are made once for all rows.

constexpr int64_t KEPT_RANGES = 16;  // masks kept for this many window columns; more are made anew

template <class T>
struct Best {
  Vec<T> value;
  Vec<LaneInteger<T>> index;

  FASTCONV_LEAF void offer(Vec<T> other, Vec<LaneInteger<T>> other_index) {
    const auto better = (other > value) | (other != other);
    value = better ? other : value;
    index = better ? other_index : index;
  }
};

// What one vector of outputs reads of the rows under it. STRIDE and KW are 0 where only known at
// run time.
template <class T, int STRIDE, int KW>
struct WindowColumns {
  int64_t start;   // column of lane 0, window column 0; negative in the padding
  int64_t stride;  // STRIDE, or the stride where STRIDE is 0
  int64_t count;   // of window columns
  int64_t IW, dilation;
  LaneRange<T> low[KEPT_RANGES], high[KEPT_RANGES];

  FASTCONV_LEAF WindowColumns(const Pool2dShape& s, int64_t j) {
    stride = STRIDE ? STRIDE : s.stride_w;
    start = j * stride - s.pad_w;
    IW = s.IW;
    dilation = s.dilation_w;
    count = KW ? KW : s.KW;
    for (int64_t k = 0; k < count && k < KEPT_RANGES; ++k) {
      low[k] = range(k, 0);
      high[k] = range(k, LANES<T>);
    }
  }
  // The elements at and after `lane` of the row under window column k, as far as inside the image.
  FASTCONV_LEAF LaneRange<T> range(int64_t k, int64_t lane) const {
    const int64_t at = start + k * dilation + lane;
    return lane_range<T>(-at, IW - at);
  }
  // Window column k of `row`; `fill` outside the image.
  FASTCONV_LEAF Vec<T> read(const T* row, int64_t k, T fill) const {
    constexpr int L = LANES<T>;
    const int64_t at = start + k * dilation;
    const T* from = row + at;
    if constexpr (STRIDE == 0) {
      Vec<T> v = broadcast(fill);
      for (int i = 0; i < L; ++i)
        if (at + i * stride >= 0 && at + i * stride < IW) v[i] = from[i * stride];
      return v;
    } else {
      const bool kept = k < KEPT_RANGES;
      const Vec<T> a = load_range(from, kept ? low[k] : range(k, 0), fill);
      if constexpr (STRIDE == 1) return a;
      return even_lanes<T>(a, load_range(from + L, kept ? high[k] : range(k, L), fill));
    }
  }
};

FASTCONV_LEAF int lanes_left(int64_t count, int lanes) {
  return static_cast<int>(count < lanes ? count : lanes);
}

template <class T, int STRIDE, int KW>
void max_pool_rows_at(const Pool2dShape& s, const PoolPlane<T>& p, int64_t* indices) {
  using Integer = LaneInteger<T>;
  constexpr T LOWEST = -__builtin_inf();
  for (int64_t j = 0; j < s.OW; j += LANES<T>) {
    const WindowColumns<T, STRIDE, KW> columns(s, j);
    const int count = lanes_left(s.OW - j, LANES<T>);
    const Vec<Integer> start =
        ramp(static_cast<Integer>(s.stride_w)) + static_cast<Integer>(columns.start);
    Vec<Integer> first = start;  // the first window column inside the image
    if (columns.start < 0)
      for (int64_t k = 1; k < s.KW; ++k)
        first = first < 0 ? first + static_cast<Integer>(s.dilation_w) : first;
    for (int64_t oh = p.first; oh < p.end; ++oh) {
      const Window rows = s.rows(oh);
      Best<T> best{broadcast(LOWEST), first + static_cast<Integer>(rows.first * s.IW)};
      for (int64_t ih = rows.first; ih < rows.end; ih += s.dilation_h) {
        const T* row = p.x + ih * s.IW;
        const Vec<Integer> at = start + static_cast<Integer>(ih * s.IW);
        Best<T> of_row{columns.read(row, 0, LOWEST), at};  // shortens the chain of comparisons
#pragma GCC unroll 4
        for (int64_t k = 1; k < columns.count; ++k)
          of_row.offer(columns.read(row, k, LOWEST), at + static_cast<Integer>(k * s.dilation_w));
        best.offer(of_row.value, of_row.index);
      }
      store_first(p.y + oh * s.OW + j, best.value, count);
      if (indices) store_indices(indices + oh * s.OW + j, best.index, count);
    }
  }
}

template <class T>
void max_pool_rows(const Pool2dShape& s, const PoolPlane<T>& p, int64_t* indices) {
  if (s.stride_w == 2 && s.KW == 2)
    max_pool_rows_at<T, 2, 2>(s, p, indices);
  else if (s.stride_w == 2 && s.KW == 3)
    max_pool_rows_at<T, 2, 3>(s, p, indices);
  else if (s.stride_w == 2)
    max_pool_rows_at<T, 2, 0>(s, p, indices);
  else if (s.stride_w == 1 && s.KW == 3)
    max_pool_rows_at<T, 1, 3>(s, p, indices);
  else if (s.stride_w == 1)
    max_pool_rows_at<T, 1, 0>(s, p, indices);
  else
    max_pool_rows_at<T, 0, 0>(s, p, indices);
}

// The extent in columns that avg_pool2d divides outputs j, j + 1, ... by; 1 for lanes that are no
// outputs.
template <class T>
FASTCONV_LEAF Vec<T> column_divisors(const Pool2dShape& s, int64_t j) {
  using Integer = LaneInteger<T>;
  if (s.divisor_override) return broadcast(T(1));
  const Vec<Integer> start =
      ramp(static_cast<Integer>(s.stride_w)) + static_cast<Integer>(j * s.stride_w - s.pad_w);
  const Vec<Integer> limit =
      broadcast(static_cast<Integer>(s.count_include_pad ? s.IW + s.pad_w : s.IW));
  Vec<Integer> first = start, end = start + static_cast<Integer>(s.KW);
  end = end < limit ? end : limit;
  if (!s.count_include_pad) first = start > 0 ? start : Vec<Integer>{};
  const Vec<Integer> one = broadcast(Integer(1)), extent = end - first;
  return __builtin_convertvector(extent > one ? extent : one, Vec<T>);
}

FASTCONV_LEAF int64_t row_divisor(const Pool2dShape& s, int64_t oh) {
  return s.divisor_override ? s.divisor_override : s.rows_divisor(oh);
}

template <class T, int STRIDE, int KW>
void avg_pool_rows_at(const Pool2dShape& s, const PoolPlane<T>& p) {
  for (int64_t j = 0; j < s.OW; j += LANES<T>) {
    const WindowColumns<T, STRIDE, KW> columns(s, j);
    const Vec<T> by_columns = column_divisors<T>(s, j);
    const int count = lanes_left(s.OW - j, LANES<T>);
    for (int64_t oh = p.first; oh < p.end; ++oh) {
      const Window rows = s.rows(oh);
      Vec<T> sum{};
      for (int64_t ih = rows.first; ih < rows.end; ++ih) {
        const T* row = p.x + ih * s.IW;
#pragma GCC unroll 4
        for (int64_t k = 0; k < columns.count; ++k) sum += columns.read(row, k, T(0));
      }
      sum /= by_columns * static_cast<T>(row_divisor(s, oh));
      store_first(p.y + oh * s.OW + j, sum, count);
    }
  }
}

template <class T>
void avg_pool_rows(const Pool2dShape& s, const PoolPlane<T>& p) {
  if (s.stride_w == 2 && s.KW == 2)
    avg_pool_rows_at<T, 2, 2>(s, p);
  else if (s.stride_w == 2 && s.KW == 3)
    avg_pool_rows_at<T, 2, 3>(s, p);
  else if (s.stride_w == 2)
    avg_pool_rows_at<T, 2, 0>(s, p);
  else if (s.stride_w == 1 && s.KW == 3)
    avg_pool_rows_at<T, 1, 3>(s, p);
  else if (s.stride_w == 1)
    avg_pool_rows_at<T, 1, 0>(s, p);
  else
    avg_pool_rows_at<T, 0, 0>(s, p);
}

// grad_y where the maximum was this very element.
template <class T>
struct MaxGradient {
  const T* grad_y;
  const int64_t* indices;

  FASTCONV_LEAF Vec<T> at(const Pool2dShape& s, int64_t oh, int64_t j0, LaneRange<T> outputs,
                          Vec<LaneInteger<T>> self) const {
    const int64_t from = oh * s.OW + j0;
    const Vec<T> g = load_range(grad_y + from, outputs, T(0));
    return load_indices<T>(indices + from, outputs) == self ? g : Vec<T>{};
  }
};

template <class T>
struct AvgGradient {
  const T* grad_y;

  FASTCONV_LEAF Vec<T> at(const Pool2dShape& s, int64_t oh, int64_t j0, LaneRange<T> outputs,
                          Vec<LaneInteger<T>>) const {
    const Vec<T> g = load_range(grad_y + oh * s.OW + j0, outputs, T(0));
    return g / (column_divisors<T>(s, j0) * static_cast<T>(row_divisor(s, oh)));
  }
};

// The gradient at pixels iw, iw + stride, ... of row ih. They lie under outputs j0, j0 + 1, ... at
// window column k where j0 * stride = iw + pad_w - k * dilation_w, if that is whole. The sum runs
// over output rows, then over window columns from the right: the order of torch.
template <class T, int STRIDE, class Gradient>
FASTCONV_LEAF Vec<T> gathered(const Pool2dShape& s, const Gradient& gradient, Window rows,
                              int64_t ih, int64_t iw) {
  using Integer = LaneInteger<T>;
  const int64_t stride = STRIDE ? STRIDE : s.stride_w;
  const Vec<Integer> self =
      ramp(static_cast<Integer>(stride)) + static_cast<Integer>(ih * s.IW + iw);
  Vec<T> sum{};
  for (int64_t oh = rows.first; oh < rows.end; ++oh)
    for (int64_t k = s.KW - 1; k >= 0; --k) {
      const int64_t column = iw + s.pad_w - k * s.dilation_w;
      if (column % stride != 0) continue;
      const int64_t j0 = column / stride;
      sum += gradient.at(s, oh, j0, lane_range<T>(-j0, s.OW - j0), self);
    }
  return sum;
}

template <class T, int STRIDE, class Gradient>
FASTCONV_LEAF void gradient_rows_at(const Pool2dShape& s, const PoolPlane<T>& p,
                                    const Gradient& gradient) {
  constexpr int L = LANES<T>;
  const int64_t reach = (s.KH - 1) * s.dilation_h;
  for (int64_t ih = p.first; ih < p.end; ++ih) {
    const int64_t after = ih + s.pad_h - reach;
    const Window rows{after <= 0 ? 0 : ceil_div(after, s.stride_h),
                      min64((ih + s.pad_h) / s.stride_h + 1, s.OH)};
    T* row = p.y + ih * s.IW;
    if constexpr (STRIDE == 1) {
      for (int64_t iw = 0; iw < s.IW; iw += L)
        store_first(row + iw, gathered<T, 1>(s, gradient, rows, ih, iw), lanes_left(s.IW - iw, L));
    } else if constexpr (STRIDE == 2) {
      for (int64_t iw = 0; iw < s.IW; iw += 2 * L) {
        const Vec<T> a = gathered<T, 2>(s, gradient, rows, ih, iw);
        const Vec<T> b = gathered<T, 2>(s, gradient, rows, ih, iw + 1);
        store_first(row + iw, zip<T, 0>(a, b), lanes_left(s.IW - iw, L));
        if (s.IW - iw > L) store_first(row + iw + L, zip<T, 1>(a, b), lanes_left(s.IW - iw - L, L));
      }
    } else {
      for (int64_t iw0 = 0; iw0 < s.IW; iw0 += s.stride_w * L)
        for (int64_t iw = iw0; iw < iw0 + s.stride_w && iw < s.IW; ++iw) {
          const Vec<T> v = gathered<T, 0>(s, gradient, rows, ih, iw);
          for (int i = 0; i < L && iw + i * s.stride_w < s.IW; ++i) row[iw + i * s.stride_w] = v[i];
        }
    }
  }
}

template <class T, class Gradient>
FASTCONV_LEAF void gradient_rows(const Pool2dShape& s, const PoolPlane<T>& p,
                                 const Gradient& gradient) {
  if (s.stride_w == 1)
    gradient_rows_at<T, 1>(s, p, gradient);
  else if (s.stride_w == 2)
    gradient_rows_at<T, 2>(s, p, gradient);
  else
    gradient_rows_at<T, 0>(s, p, gradient);
}

template <class T>
void max_pool_gradient_rows(const Pool2dShape& s, const PoolPlane<T>& p, const int64_t* indices) {
  gradient_rows(s, p, MaxGradient<T>{p.x, indices});
}

template <class T>
void avg_pool_gradient_rows(const Pool2dShape& s, const PoolPlane<T>& p) {
  gradient_rows(s, p, AvgGradient<T>{p.x});
}
