// Max pooling of stride 1 without dilation, rows first and then columns. Its time grows with the
// logarithm of the window's extents:
//   h[ih,ow] = max over kw of x[ih,ow+kw-pad_w],  y[oh,ow] = max over kh of h[oh+kh-pad_h,ow]
// The maximum of 2 n elements is the greater of two maxima of n elements. For fewer than 2 n
// elements the two overlap. The earlier one stays unless the later one is greater or NaN. The
// result is the first maximum, or the last NaN, as in a scan of rows.
//
// A block is the padded rows under some output rows, of one NCHW plane (a pixel is an element) or of
// LANES channels of an NHWC image (a pixel is a vector): PITCH = OW + KW - 1 pixels a row.
//
//   values   -inf -inf  x00  x01 ... -inf      in place, so a maximum stands where its window begins
//   places     2    2    2    3  ...           row * KW + column of the maximum. Padding has the
//                                              place of the first pixel inside: for windows
//                                              of -inf torch gives this place

template <class T>  // of lanes
struct SeparableBlock {
  T* values;
  LaneInteger<T>* places;  // null: not wanted
  int64_t pitch;           // elements of a row
};

// Of `count` elements each: the better of it and of the element `ahead` of it. They read up to
// ahead + LANES elements behind the last.
template <class T>
FASTCONV_LEAF void better_ahead(const SeparableBlock<T>& b, int64_t from, int64_t count,
                                int64_t ahead) {
  T* values = b.values + from;
  if (!b.places) {
    for (int64_t i = 0; i < count; i += LANES<T>) {
      const Vec<T> value = load(values + i), other = load(values + i + ahead);
      store(values + i, (other > value) | (other != other) ? other : value);
    }
    return;
  }
  LaneInteger<T>* places = b.places + from;
  for (int64_t i = 0; i < count; i += LANES<T>) {
    Best<T> best{load(values + i), load(places + i)};
    best.offer(load(values + i + ahead), load(places + i + ahead));
    store(values + i, best.value);
    store(places + i, best.code);
  }
}

// Stores of vectors run over the end of a row of elements, onto the next row, which is filled later.
template <class T>
FASTCONV_LEAF void fill_row(const Pool2dShape& s, const SeparableBlock<Lane<T>>& b, int64_t row,
                            int64_t first_row, const T* x, int pixel, int count) {
  using Integer = LaneInteger<T>;
  constexpr int L = LANES<T>;
  Lane<T>* to = b.values + row * b.pitch;
  const Vec<T> lowest = broadcast(static_cast<Lane<T>>(-__builtin_inf()));
  const int64_t left = s.pad_w * pixel, inside = s.IW * pixel;
  for (int64_t i = 0; i < (x ? left : b.pitch); i += L) store(to + i, lowest);
  if (x && pixel == 1) {
    int64_t i = 0;
    for (; i + L <= s.IW; i += L) store(to + left + i, load(x + i));
    if (i < s.IW) store(to + left + i, load_partial(x + i, static_cast<int>(s.IW - i)));
  } else if (x) {
    for (int64_t i = 0; i < s.IW; ++i) store(to + left + i * L, load_first(x + i * s.C, count));
  }
  for (int64_t i = left + inside; x && i < b.pitch; i += L) store(to + i, lowest);
  if (!b.places) return;
  Integer* places = b.places + row * b.pitch;
  const auto in_row = broadcast(static_cast<Integer>((row > first_row ? row : first_row) * s.KW));
  const auto first = broadcast(static_cast<Integer>(s.pad_w));
  const auto step = ramp(static_cast<Integer>(pixel == 1));
  for (int64_t i = 0; i < b.pitch; i += L) {
    const auto at = step + static_cast<Integer>(pixel == 1 ? i : i / L);
    store(places + i, in_row + (at > first ? at : first));
  }
}

// Output rows [p.first, p.end) of one plane, or of `channels` channels of an image. `scratch` has
// separable_elements (table.h).
template <class T>
void max_pool_separable(const Pool2dShape& shape, const PoolPlanes<T>& p, int channels,
                        Lane<T>* scratch, Codes codes) {
  const Pool2dShape s = shape;  // a copy of our own, which stores cannot change
  using Integer = LaneInteger<T>;
  constexpr int L = LANES<T>;
  const int pixel = channels ? L : 1;
  const int64_t pitch = (s.OW + s.KW - 1) * pixel, outputs = p.end - p.first;
  const int64_t rows = outputs + s.KH - 1, top = p.first - s.pad_h;
  const int64_t elements = separable_elements(s, outputs, pixel, L);
  const SeparableBlock<Lane<T>> b{
      scratch, codes ? reinterpret_cast<Integer*>(scratch + elements) : nullptr, pitch};
  const int64_t first_row = max64(0, -top), end_row = min64(rows, s.IH - top);
  for (int64_t row = 0; row < rows; ++row)
    fill_row(s, b, row, first_row,
             row >= first_row && row < end_row ? p.x + (top + row) * s.IW * (channels ? s.C : 1)
                                               : nullptr,
             pixel, channels);
  for (int64_t have = 1; have < s.KW;) {
    const int64_t step = min64(have, s.KW - have);
    better_ahead(b, first_row * pitch, (end_row - first_row) * pitch, step * pixel);
    have += step;
  }
  for (int64_t have = 1; have < s.KH;) {
    const int64_t step = min64(have, s.KH - have);
    have += step;
    better_ahead(b, 0, (rows - have + 1) * pitch, step * pitch);
  }
  for (int64_t row = 0; row < outputs; ++row)
    for (int64_t ow = 0; ow < s.OW; ow += channels ? 1 : L) {
      const int count = channels ? channels : lanes_left(s.OW - ow, L);
      const int64_t from = row * pitch + ow * pixel;
      const int64_t to = ((p.first + row) * s.OW + ow) * (channels ? s.C : 1);
      store_first_exactly<T>(p.y + to, load(b.values + from), count);
      if (!codes) continue;
      const auto window =
          ramp(static_cast<Integer>(!channels)) + static_cast<Integer>(row * s.KW + ow);
      store_codes<T>(codes + to, load(b.places + from) - window, count);
    }
}
