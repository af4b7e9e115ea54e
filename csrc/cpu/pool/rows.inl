// Pooling of NCHW planes in vectors along a row (formulas: ../../core/shape.h). Max follows torch: a
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
  Vec<LaneInteger<T>> code;

  FASTCONV_LEAF void offer(Vec<T> other, Vec<LaneInteger<T>> other_code) {
    const auto better = (other > value) | (other != other);
    value = better ? other : value;
    code = better ? other_code : code;
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

template <class T, class Code, int STRIDE, int KW>
void max_pool_rows_at(const Pool2dShape& shape, const PoolPlane<T>& p, Code* codes) {
  const Pool2dShape s = shape;  // a copy of our own, which stores cannot change
  using Integer = LaneInteger<T>;
  constexpr T LOWEST = -__builtin_inf();
  for (int64_t j = 0; j < s.OW; j += LANES<T>) {
    const WindowColumns<T, STRIDE, KW> columns(s, j);
    const int count = lanes_left(s.OW - j, LANES<T>);
    Vec<Integer> first_k{};  // the first window column inside the image
    Vec<Integer> at = ramp(static_cast<Integer>(s.stride_w)) + static_cast<Integer>(columns.start);
    if (columns.start < 0)
      for (int64_t k = 1; k < columns.count; ++k) {
        first_k = at < 0 ? first_k + Integer(1) : first_k;
        at = at < 0 ? at + static_cast<Integer>(s.dilation_w) : at;
      }
    for (int64_t oh = p.first; oh < p.end; ++oh) {
      const Window rows = s.rows(oh);
      int64_t code = 0;  // of the row's first window element
      for (int64_t ih = oh * s.stride_h - s.pad_h; ih < rows.first; ih += s.dilation_h)
        code += columns.count;
      Best<T> best{broadcast(LOWEST), first_k + static_cast<Integer>(code)};
      for (int64_t ih = rows.first; ih < rows.end; ih += s.dilation_h, code += columns.count) {
        const T* row = p.x + ih * s.IW;
        Best<T> of_row{columns.read(row, 0, LOWEST), broadcast(static_cast<Integer>(code))};
#pragma GCC unroll 4
        for (int64_t k = 1; k < columns.count; ++k)
          of_row.offer(columns.read(row, k, LOWEST), broadcast(static_cast<Integer>(code + k)));
        best.offer(of_row.value, of_row.code);  // row by row: a shorter chain of comparisons
      }
      store_first(p.y + oh * s.OW + j, best.value, count);
      if (codes) store_codes<T>(codes + oh * s.OW + j, best.code, count);
    }
  }
}

template <class T, class Code>
void max_pool_rows(const Pool2dShape& s, const PoolPlane<T>& p, Code* codes) {
  if (s.stride_w == 2 && s.KW == 2)
    max_pool_rows_at<T, Code, 2, 2>(s, p, codes);
  else if (s.stride_w == 2 && s.KW == 3)
    max_pool_rows_at<T, Code, 2, 3>(s, p, codes);
  else if (s.stride_w == 2)
    max_pool_rows_at<T, Code, 2, 0>(s, p, codes);
  else if (s.stride_w == 1 && s.KW == 3)
    max_pool_rows_at<T, Code, 1, 3>(s, p, codes);
  else if (s.stride_w == 1)
    max_pool_rows_at<T, Code, 1, 0>(s, p, codes);
  else
    max_pool_rows_at<T, Code, 0, 0>(s, p, codes);
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
void avg_pool_rows_at(const Pool2dShape& shape, const PoolPlane<T>& p) {
  const Pool2dShape s = shape;  // a copy of our own, which stores cannot change
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
