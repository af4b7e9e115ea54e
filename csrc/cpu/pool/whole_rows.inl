// Pooling of NCHW planes with stride 2 and windows of 2 or 3 neighbouring columns (formulas:
// ../../core/shape.h). Each row has at least a vector of windows that no side cuts off. No lane
// needs a mask, and rows are read and written in their order in memory.
//
//   x:  a b c d e f g h | i j ...      even lanes  a c e g    window column 0
//                                      odd lanes   b d f h    window column 1
//   the same from b on                 odd lanes   c e g i    window column 2
// The last vector of a row overlaps the one before it. The few outputs at the sides are single.

// Column k of the windows of LANES outputs, the first of which begins at `from`. Reads no more than the
// windows hold.
template <class T, int KW>
FASTCONV_LEAF void load_window_row(const T* from, Vec<T> (&v)[KW]) {
  load_even_and_odd<T>(from, v[0], v[1]);
  if constexpr (KW == 3) {
    Vec<T> second;
    load_even_and_odd<T>(from + 1, second, v[2]);
  }
}

// The outputs of a row whose windows are whole.
FASTCONV_LEAF Window whole_outputs(const Pool2dShape& s) {
  const int64_t room = s.IW + s.pad_w - s.KW;
  const int64_t end = room < 0 ? 0 : room / 2 + 1;
  return {(s.pad_w + 1) / 2, end < s.OW ? end : s.OW};
}
template <class T>
FASTCONV_LEAF bool has_whole_rows(const Pool2dShape& s) {
  const Window whole = whole_outputs(s);
  return !s.adaptive && s.stride_w == 2 && s.dilation_w == 1 && s.dilation_h == 1 &&
         (s.KW == 2 || s.KW == 3) && s.pad_w < s.KW && s.pad_h < s.KH &&
         whole.end - whole.first >= LANES<T>;
}

// The maxima of `outputs` windows of `rows` rows. `code` is the code of the first element.
template <class T, bool CODES, int KW>
FASTCONV_LEAF void max_of_whole(const T* x, int64_t IW, int64_t rows, int64_t code, int64_t outputs,
                                T* y, Codes codes) {
  constexpr int L = LANES<T>;
  for (int64_t next = 0; next < outputs; next += L) {
    const int64_t j = next + L > outputs ? outputs - L : next;
    Best<T> best;
    for (int64_t r = 0; r < rows; ++r) {
      const auto first = static_cast<LaneInteger<T>>(code + r * KW);
      Vec<T> v[KW];
      load_window_row<T, KW>(x + r * IW + 2 * j, v);
      Best<T> of_row{v[0], broadcast(first)};
#pragma GCC unroll 2
      for (int k = 1; k < KW; ++k)
        of_row.offer(v[k], broadcast(static_cast<LaneInteger<T>>(first + k)));
      if (r == 0)
        best = of_row;
      else
        best.offer(of_row.value, of_row.code);
    }
    store_first_exactly(y + j, best.value, L);
    if constexpr (CODES) store_codes<T>(codes + j, best.code, L);
  }
}

// The maximum of output (oh, j), whose window has the rows `rows` of plane `x`. In line: as calls,
// for each output or for each job, they cost 15 % of 3x3 windows on 56x56 (log, 2026-11-28).
template <class T>
FASTCONV_LEAF void max_of_one(const Pool2dShape& s, const T* x, Window rows, int64_t oh, int64_t j,
                              T* y, Codes code) {
  const Window columns = s.columns(j);
  Lane<T> best = widen_one(x[rows.first * s.IW + columns.first]);
  int64_t ih_best = rows.first, iw_best = columns.first;
  for (int64_t ih = rows.first; ih < rows.end; ++ih)
    for (int64_t iw = columns.first; iw < columns.end; ++iw) {
      const Lane<T> other = widen_one(x[ih * s.IW + iw]);
      if (!(other > best || other != other)) continue;
      best = other;
      ih_best = ih;
      iw_best = iw;
    }
  *y = round_one<T>(best);
  if (code) code.put((ih_best - s.row_start(oh)) * s.KW + iw_best - s.column_start(j));
}

template <class T, bool CODES, int KW>
FASTCONV_LEAF void max_pool_whole_rows(const Pool2dShape& shape, const PoolPlanes<T>& planes,
                                       Codes codes) {
  const Pool2dShape s = shape;  // copies of our own, which stores cannot change
  const PoolPlanes<T> p = planes;
  const Window whole = whole_outputs(s);
  for (int64_t plane = 0; plane < p.count; ++plane)
    for (int64_t oh = p.first; oh < p.end; ++oh) {
      const T* x = p.x + plane * s.IH * s.IW;
      const int64_t to = (plane * s.OH + oh) * s.OW;
      T* y = p.y + to;
      const Codes at = CODES ? codes + to : codes;
      const Window rows = s.rows(oh);
      const T* from = x + rows.first * s.IW + 2 * whole.first - s.pad_w;
      const int64_t code = (rows.first - s.row_start(oh)) * KW;
      max_of_whole<T, CODES, KW>(from, s.IW, rows.end - rows.first, code, whole.end - whole.first,
                                 y + whole.first, CODES ? at + whole.first : codes);
      for (int64_t j = 0; j < whole.first; ++j)
        max_of_one(s, x, rows, oh, j, y + j, CODES ? at + j : codes);
      for (int64_t j = whole.end; j < s.OW; ++j)
        max_of_one(s, x, rows, oh, j, y + j, CODES ? at + j : codes);
    }
}

// The means of `outputs` windows of `rows` rows.
template <class T, int KW>
FASTCONV_LEAF void mean_of_whole(const T* x, int64_t IW, int64_t rows, Lane<T> divisor,
                                 int64_t outputs, T* y) {
  constexpr int L = LANES<T>;
  for (int64_t next = 0; next < outputs; next += L) {
    const int64_t j = next + L > outputs ? outputs - L : next;
    Vec<T> sum{};
    for (int64_t r = 0; r < rows; ++r) {
      Vec<T> v[KW];
      load_window_row<T, KW>(x + r * IW + 2 * j, v);
#pragma GCC unroll 4
      for (int k = 0; k < KW; ++k) sum += v[k];
    }
    store(y + j, sum / broadcast(divisor));
  }
}
template <class T>
FASTCONV_LEAF Lane<T> mean_of_one(const Pool2dShape& s, const T* x, Window rows, int64_t by_rows,
                                  int64_t j) {
  const Window columns = s.columns(j);
  Lane<T> sum = 0;
  for (int64_t ih = rows.first; ih < rows.end; ++ih)
    for (int64_t iw = columns.first; iw < columns.end; ++iw) sum += widen_one(x[ih * s.IW + iw]);
  return sum / static_cast<Lane<T>>(by_rows * (s.divisor_override ? 1 : s.columns_divisor(j)));
}

template <class T, int KW>
FASTCONV_LEAF void avg_pool_whole_rows(const Pool2dShape& shape, const PoolPlanes<T>& planes) {
  const Pool2dShape s = shape;  // copies of our own, which stores cannot change
  const PoolPlanes<T> p = planes;
  const Window whole = whole_outputs(s);
  for (int64_t plane = 0; plane < p.count; ++plane)
    for (int64_t oh = p.first; oh < p.end; ++oh) {
      const T* x = p.x + plane * s.IH * s.IW;
      T* y = p.y + (plane * s.OH + oh) * s.OW;
      const Window rows = s.rows(oh);
      const int64_t by_rows = row_divisor(s, oh);
      mean_of_whole<T, KW>(x + rows.first * s.IW + 2 * whole.first - s.pad_w, s.IW,
                           rows.end - rows.first,
                           static_cast<Lane<T>>(by_rows * (s.divisor_override ? 1 : KW)),
                           whole.end - whole.first, y + whole.first);
      for (int64_t j = 0; j < whole.first; ++j)
        y[j] = round_one<T>(mean_of_one(s, x, rows, by_rows, j));
      for (int64_t j = whole.end; j < s.OW; ++j)
        y[j] = round_one<T>(mean_of_one(s, x, rows, by_rows, j));
    }
}

template <class T>
void max_pool_planes(const Pool2dShape& s, const PoolPlanes<T>& p, Codes codes) {
  if (!has_whole_rows<T>(s)) return max_pool_rows<T>(s, p, codes);
  if (s.KW == 2)
    return codes ? max_pool_whole_rows<T, true, 2>(s, p, codes)
                 : max_pool_whole_rows<T, false, 2>(s, p, codes);
  return codes ? max_pool_whole_rows<T, true, 3>(s, p, codes)
               : max_pool_whole_rows<T, false, 3>(s, p, codes);
}

template <class T>
void avg_pool_planes(const Pool2dShape& s, const PoolPlanes<T>& p) {
  if (!has_whole_rows<T>(s)) return avg_pool_rows<T>(s, p);
  if (s.KW == 2) return avg_pool_whole_rows<T, 2>(s, p);
  return avg_pool_whole_rows<T, 3>(s, p);
}
