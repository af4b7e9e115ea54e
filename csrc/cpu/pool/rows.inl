// Pooling of NCHW planes in vectors along a row (formulas: ../../core/shape.h). As in torch, a
// later element replaces the maximum if it is greater or NaN. The result is the first maximum, or
// the last NaN.
//
// For window column k a vector of outputs at column j reads every stride_w-th element from j *
// stride_w - pad_w + k * dilation_w on. Stride 1 takes one load, stride 2 takes two loads and a
// shuffle, and larger strides load single elements. Loads are whole. Beyond its row a load reads
// elements of another row, and a mask replaces them in the lanes that hold outputs. Masks depend on
// columns alone, so they are made once for all rows and planes. Only rows at the ends of the tensor
// load within bounds.
//
// Columns of vectors go from right to left, rows and planes from first to last. A whole store may
// therefore write beyond its row, because the elements there are written later.

constexpr int64_t KEPT_MASKS = 16;  // for this many window columns; more are made anew

enum class Reads { INSIDE, MASKED, BOUNDED };  // whole; whole and masked; within the tensor

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

FASTCONV_LEAF int lanes_left(int64_t count, int lanes) {
  return static_cast<int>(count < lanes ? count : lanes);
}

// How many lanes to store: the `count` lanes left of a row, or all where the job has yet to write what is behind.
template <class T>
FASTCONV_LEAF int lanes_stored(int count, const T* to, const T* end) {
  return end - to >= LANES<T> ? LANES<T> : count;
}

// What one vector of outputs reads of the rows under it. STRIDE and KW are 0 where only known at
// run time.
template <class T, int STRIDE, int KW>
struct WindowColumns {
  int64_t start;   // column of lane 0, window column 0; negative in the padding
  int64_t stride;  // STRIDE, or the stride where STRIDE is 0
  int64_t count;   // of window columns
  int64_t IW, dilation;
  int64_t reach;  // elements from `start` on that whole loads read
  Reads reads;    // of rows away from the ends of the tensor
  Vec<LaneInteger<T>> kept[KEPT_MASKS];

  FASTCONV_LEAF WindowColumns(const Pool2dShape& s, int64_t j) {
    stride = STRIDE ? STRIDE : s.stride_w;
    start = j * stride - s.pad_w;
    IW = s.IW;
    dilation = s.dilation_w;
    count = KW ? KW : s.KW;
    reach = (count - 1) * dilation + STRIDE * LANES<T>;
    const int64_t last = start + (lanes_left(s.OW - j, LANES<T>) - 1) * stride;
    const bool inside = start >= 0 && last + (count - 1) * dilation < IW;
    reads = inside ? Reads::INSIDE : Reads::MASKED;
    for (int64_t k = 0; k < count && k < KEPT_MASKS && !inside; ++k) kept[k] = mask(k);
  }
  // Which lanes of window column k are inside the image.
  FASTCONV_LEAF Vec<LaneInteger<T>> mask(int64_t k) const {
    using Integer = LaneInteger<T>;
    const auto at = ramp(static_cast<Integer>(stride)) + static_cast<Integer>(start + k * dilation);
    return (at >= 0) & (at < static_cast<Integer>(IW));
  }
  // Reads of the rows of a window of plane `x`.
  FASTCONV_LEAF Reads reads_of(const PoolPlanes<T>& p, const T* x, Window rows) const {
    if (rows.end <= rows.first) return reads;
    const T *first = x + rows.first * IW + start, *last = x + (rows.end - 1) * IW + start;
    return first < p.x_begin || last + reach > p.x_end ? Reads::BOUNDED : reads;
  }
  // Window column k of `row`; `fill` outside the image.
  template <Reads READS>
  FASTCONV_LEAF Vec<T> read(const T* row, int64_t k, Lane<T> fill) const {
    constexpr int L = LANES<T>;
    const int64_t at = start + k * dilation;
    const T* from = row + at;
    if constexpr (STRIDE == 0) {
      Vec<T> v = broadcast(fill);
      for (int i = 0; i < L; ++i)
        if (at + i * stride >= 0 && at + i * stride < IW) v[i] = from[i * stride];
      return v;
    } else if constexpr (READS == Reads::BOUNDED) {
      const Vec<T> a = load_range(from, lane_range<T>(-at, IW - at), fill);
      if constexpr (STRIDE == 1) return a;
      return even_lanes<T>(a, load_range(from + L, lane_range<T>(-at - L, IW - at - L), fill));
    } else {
      const Vec<T> v = STRIDE == 2 ? load_even(from) : load(from);
      if constexpr (READS == Reads::INSIDE) return v;
      return (k < KEPT_MASKS ? kept[k] : mask(k)) ? v : broadcast(fill);
    }
  }
};

// `rows`: input rows of the window that begins at row_start; `best` has the first element's code.
template <Reads READS, class T, int STRIDE, int KW>
FASTCONV_LEAF Best<T> best_of_reads(const WindowColumns<T, STRIDE, KW>& columns,
                                    const Pool2dShape& s, const T* x, Window rows, int64_t code,
                                    Best<T> best) {
  using Integer = LaneInteger<T>;
  constexpr Lane<T> LOWEST = -__builtin_inf();
  for (int64_t ih = rows.first; ih < rows.end; ih += s.dilation_h, code += columns.count) {
    const T* row = x + ih * s.IW;
    Best<T> of_row{columns.template read<READS>(row, 0, LOWEST),
                   broadcast(static_cast<Integer>(code))};
#pragma GCC unroll 2  // KW is 2 or 3, or a loop
    for (int64_t k = 1; k < columns.count; ++k)
      of_row.offer(columns.template read<READS>(row, k, LOWEST),
                   broadcast(static_cast<Integer>(code + k)));
    best.offer(of_row.value, of_row.code);  // row by row: a shorter chain of comparisons
  }
  return best;
}
// Rows at the ends of the tensor are few, so theirs is a call. Larger strides read alike everywhere.
template <class T, int STRIDE, int KW>
__attribute__((noinline)) Best<T> best_within_bounds(const WindowColumns<T, STRIDE, KW>& columns,
                                                     const Pool2dShape& s, const T* x, Window rows,
                                                     int64_t code, const Best<T>& best) {
  return best_of_reads<Reads::BOUNDED>(columns, s, x, rows, code, best);
}
template <class T, int STRIDE, int KW>
FASTCONV_LEAF Best<T> best_of_window(const WindowColumns<T, STRIDE, KW>& columns, Reads reads,
                                     const Pool2dShape& s, const T* x, Window rows, int64_t code,
                                     const Best<T>& best) {
  if constexpr (STRIDE != 0) {
    if (reads == Reads::INSIDE)
      return best_of_reads<Reads::INSIDE>(columns, s, x, rows, code, best);
    if (reads == Reads::MASKED)
      return best_of_reads<Reads::MASKED>(columns, s, x, rows, code, best);
  }
  return best_within_bounds(columns, s, x, rows, code, best);
}

// The hardware does not predict a column of vectors, which jumps from row to row. Each vector
// therefore fetches the data that the next job, which follows in memory, reads and writes at the
// same place.
template <class T>
FASTCONV_LEAF void fetch_next_job(const Pool2dShape& s, const PoolPlanes<T>& p, int64_t from,
                                  int64_t to) {
  const int64_t outputs = p.count * (p.end - p.first) * s.OW;
  const int64_t inputs = p.count * (p.end - p.first) * s.stride_h * s.IW;
  for (int64_t r = 0; r < s.stride_h; ++r) __builtin_prefetch(p.x + from + r * s.IW + inputs);
  __builtin_prefetch(p.y + to + outputs, 1);
}

template <class T, int STRIDE, int KW>
void max_pool_rows_at(const Pool2dShape& shape, const PoolPlanes<T>& planes, Codes codes) {
  const Pool2dShape s = shape;  // copies of our own, which stores cannot change
  const PoolPlanes<T> p = planes;
  using Integer = LaneInteger<T>;
  constexpr int L = LANES<T>;
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  const T* end = p.y + (p.count - 1) * out + p.end * s.OW;
  for (int64_t j = (s.OW - 1) / L * L; j >= 0; j -= L) {
    const WindowColumns<T, STRIDE, KW> columns(s, j);
    const int count = lanes_left(s.OW - j, L);
    Vec<Integer> first_k{};  // the first window column inside the image
    Vec<Integer> at = ramp(static_cast<Integer>(s.stride_w)) + static_cast<Integer>(columns.start);
    if (columns.start < 0)
      for (int64_t k = 1; k < columns.count; ++k) {
        first_k = at < 0 ? first_k + Integer(1) : first_k;
        at = at < 0 ? at + static_cast<Integer>(s.dilation_w) : at;
      }
    for (int64_t plane = 0; plane < p.count; ++plane) {
      const T* x = p.x + plane * in;
      for (int64_t oh = p.first; oh < p.end; ++oh) {
        const Window rows = s.rows(oh);
        int64_t code = 0;  // of the first row inside the image
        for (int64_t ih = s.row_start(oh); ih < rows.first; ih += s.dilation_h)
          code += columns.count;
        Best<T> best{broadcast(static_cast<Lane<T>>(-__builtin_inf())),
                     first_k + static_cast<Integer>(code)};
        best = best_of_window(columns, columns.reads_of(p, x, rows), s, x, rows, code, best);
        const int64_t to = plane * out + oh * s.OW + j;
        const int lanes = lanes_stored(count, p.y + to, end);
        fetch_next_job(s, p, plane * in + oh * s.stride_h * s.IW + columns.start, to);
        store_first_exactly(p.y + to, best.value, lanes);
        if (codes) store_codes<T>(codes + to, best.code, lanes);
      }
    }
  }
}

template <class T>
void max_pool_rows(const Pool2dShape& s, const PoolPlanes<T>& p, Codes codes) {
  if (s.stride_w == 2 && s.KW == 2)
    max_pool_rows_at<T, 2, 2>(s, p, codes);
  else if (s.stride_w == 2 && s.KW == 3)
    max_pool_rows_at<T, 2, 3>(s, p, codes);
  else if (s.stride_w == 2)
    max_pool_rows_at<T, 2, 0>(s, p, codes);
  else if (s.stride_w == 1)
    max_pool_rows_at<T, 1, 0>(s, p, codes);
  else
    max_pool_rows_at<T, 0, 0>(s, p, codes);
}

// The extent in columns that avg_pool2d divides outputs j, j + 1, ... by; 1 for lanes that are no
// outputs.
template <class T>
FASTCONV_LEAF Vec<T> column_divisors(const Pool2dShape& s, int64_t j) {
  using Integer = LaneInteger<T>;
  if (s.divisor_override) return broadcast(Lane<T>(1));
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

template <Reads READS, class T, int STRIDE, int KW>
FASTCONV_LEAF Vec<T> sum_of_reads(const WindowColumns<T, STRIDE, KW>& columns, int64_t IW,
                                  const T* x, Window rows) {
  Vec<T> sum{};
  for (int64_t ih = rows.first; ih < rows.end; ++ih) {
#pragma GCC unroll 3  // KW is 2 or 3, or a loop
    for (int64_t k = 0; k < columns.count; ++k)
      sum += columns.template read<READS>(x + ih * IW, k, Lane<T>(0));
  }
  return sum;
}
template <class T, int STRIDE, int KW>
__attribute__((noinline)) Vec<T> sum_within_bounds(const WindowColumns<T, STRIDE, KW>& columns,
                                                   int64_t IW, const T* x, Window rows) {
  return sum_of_reads<Reads::BOUNDED>(columns, IW, x, rows);
}
template <class T, int STRIDE, int KW>
FASTCONV_LEAF Vec<T> sum_of_window(const WindowColumns<T, STRIDE, KW>& columns, Reads reads,
                                   int64_t IW, const T* x, Window rows) {
  if constexpr (STRIDE != 0) {
    if (reads == Reads::INSIDE) return sum_of_reads<Reads::INSIDE>(columns, IW, x, rows);
    if (reads == Reads::MASKED) return sum_of_reads<Reads::MASKED>(columns, IW, x, rows);
  }
  return sum_within_bounds(columns, IW, x, rows);
}

template <class T, int STRIDE, int KW>
void avg_pool_rows_at(const Pool2dShape& shape, const PoolPlanes<T>& planes) {
  const Pool2dShape s = shape;  // copies of our own, which stores cannot change
  const PoolPlanes<T> p = planes;
  constexpr int L = LANES<T>;
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  const T* end = p.y + (p.count - 1) * out + p.end * s.OW;
  for (int64_t j = (s.OW - 1) / L * L; j >= 0; j -= L) {
    const WindowColumns<T, STRIDE, KW> columns(s, j);
    const Vec<T> by_columns = column_divisors<T>(s, j);
    const int count = lanes_left(s.OW - j, L);
    for (int64_t plane = 0; plane < p.count; ++plane) {
      const T* x = p.x + plane * in;
      for (int64_t oh = p.first; oh < p.end; ++oh) {
        const Window rows = s.rows(oh);
        Vec<T> sum = sum_of_window(columns, columns.reads_of(p, x, rows), s.IW, x, rows);
        sum /= by_columns * static_cast<Lane<T>>(row_divisor(s, oh));
        const int64_t to = plane * out + oh * s.OW + j;
        store_first(p.y + to, sum, lanes_stored(count, p.y + to, end));
        fetch_next_job(s, p, plane * in + oh * s.stride_h * s.IW + columns.start, to);
      }
    }
  }
}

template <class T>
void avg_pool_rows(const Pool2dShape& s, const PoolPlanes<T>& p) {
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
