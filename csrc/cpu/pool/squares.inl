// Gradients of pooling in windows of 2 x 2 that tile the image (windows: ../../core/shape.h):
//   max   grad_x[ih,iw] = grad_y[oh,ow] where the code of (oh, ow) is 2 * (ih % 2) + iw % 2, else 0
//   avg   grad_x[ih,iw] = grad_y[oh,ow] / divisor                  with oh = ih / 2, ow = iw / 2
// Each output is read once and stored to its four pixels, two rows of grad_x at a time, in order.
//
//   NCHW   grad_y  g0 g0 g1 g1 g2 ...   each output twice (../simd/twice.inl), so nothing is
//          codes   c0 c0 c1 c1 c2 ...   interleaved. Kept where equal to 0 1 0 1 ..., below 2 3 2 3 ...
//   NHWC   a vector of channels goes to two pixels of two rows
// The last row or column of the image may be left over, or belong to windows that are cut off. Layer:
// cpu/pool, leaf kernels.

// Of a Gradient: the outputs from `at` on, and what they add to window element `code`.
template <class T>
struct MaxSquares {
  using Integer = LaneInteger<T>;
  const T* grad_y;
  ConstCodes codes;

  struct Outputs {
    Vec<T> g;
    Vec<Integer> code;
    FASTCONV_LEAF Vec<T> of(Vec<Integer> wanted) const { return code == wanted ? g : Vec<T>{}; }
  };
  FASTCONV_LEAF Lane<T> factor(const Pool2dShape&, int64_t, int64_t) const { return 1; }
  FASTCONV_LEAF Outputs twice(int64_t at, Lane<T>) const {
    const ConstCodes from = codes + at;
    return {load_twice(grad_y + at), from.width == 1 ? load_codes_twice<T>(from.bytes())
                                                     : load_codes_twice<T>(from.words())};
  }
  FASTCONV_LEAF Outputs channels(int64_t at, int count, Lane<T>) const {
    if (count == LANES<T>) return {load(grad_y + at), load_codes<T>(codes + at)};
    return {load_partial(grad_y + at, count), load_codes<T>(codes + at, lane_range<T>(0, count))};
  }
  FASTCONV_LEAF T one(int64_t at, int64_t wanted, Lane<T>) const {
    const ConstCodes from = codes + at;
    const int64_t code = from.width == 1 ? *from.bytes() : *from.words();
    return code == wanted ? grad_y[at] : T(Lane<T>(0));
  }
  FASTCONV_LEAF static void put(T* to, Vec<T> v, int count) { store_first_exactly(to, v, count); }
};

template <class T>
struct AvgSquares {
  const T* grad_y;

  struct Outputs {
    Vec<T> g;
    FASTCONV_LEAF Vec<T> of(Vec<LaneInteger<T>>) const { return g; }
  };
  // 1 / divisor of output (oh, ow), as a product of two reciprocals.
  FASTCONV_LEAF Lane<T> factor(const Pool2dShape& s, int64_t oh, int64_t ow) const {
    const int64_t columns = s.divisor_override ? 1 : s.columns_divisor(ow);
    return Lane<T>(1) / static_cast<Lane<T>>(columns) / static_cast<Lane<T>>(row_divisor(s, oh));
  }
  FASTCONV_LEAF Outputs twice(int64_t at, Lane<T> factor) const {
    return {load_twice(grad_y + at) * broadcast(factor)};
  }
  FASTCONV_LEAF Outputs channels(int64_t at, int count, Lane<T> factor) const {
    return {load_first(grad_y + at, count) * broadcast(factor)};
  }
  FASTCONV_LEAF T one(int64_t at, int64_t, Lane<T> factor) const {
    return round_one<T>(widen_one(grad_y[at]) * factor);
  }
  FASTCONV_LEAF static void put(T* to, Vec<T> v, int count) { store_first(to, v, count); }
};

// ---- NCHW ----------------------------------------------------------------------------------------

// Vectors take half as many outputs as lanes, and the last one overlaps the one before. A row of fewer
// outputs is one vector, whose store runs over the end of the row, onto elements that are stored
// later. Where nothing is left to store to, or to read, single elements are left.
template <class T, class Gradient>
FASTCONV_LEAF void square_planes(const Pool2dShape& shape, const PoolPlanes<T>& planes,
                                 const Gradient& given) {
  const Pool2dShape s = shape;  // copies of our own, which stores cannot change
  const PoolPlanes<T> p = planes;
  const Gradient gradient = given;
  using Integer = LaneInteger<T>;
  constexpr int L = LANES<T>, HALF = L / 2;
  const int64_t in = s.IH * s.IW, out = s.OH * s.OW;
  const T* end = p.y + (p.count - 1) * in + p.end * s.IW;
  const int64_t whole = s.OW < s.IW / 2 ? s.OW : s.IW / 2;  // outputs of two columns
  const Vec<Integer> top = ramp(Integer(1)) & Integer(1), bottom = top + Integer(2);
  for (int64_t plane = 0; plane < p.count; ++plane)
    for (int64_t oh = p.first / 2; 2 * oh < p.end; ++oh) {
      const int64_t at = plane * out + oh * s.OW, rows = p.end - 2 * oh < 2 ? 1 : 2;
      T* row = p.y + plane * in + 2 * oh * s.IW;
      const bool under = oh < s.OH;  // else a row that no window holds
      const bool room =
          whole >= HALF || (p.x_end - (p.x + at) >= HALF && end - (row + (rows - 1) * s.IW) >= L);
      const Lane<T> factor = under ? gradient.factor(s, oh, 0) : 0;
      const int64_t done = under && room ? whole : 0;
      for (int64_t next = 0; next < done; next += HALF) {
        const int64_t j = next + HALF > whole && whole >= HALF ? whole - HALF : next;
        const auto outputs = gradient.twice(at + j, factor);
        Gradient::put(row + 2 * j, outputs.of(top), L);
        if (rows == 2) Gradient::put(row + s.IW + 2 * j, outputs.of(bottom), L);
      }
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t iw = 2 * done; iw < s.IW; ++iw) {
          const int64_t ow = iw / 2;
          row[r * s.IW + iw] =
              under && ow < s.OW ? gradient.one(at + ow, 2 * r + iw % 2, gradient.factor(s, oh, ow))
                                 : T(Lane<T>(0));
        }
    }
}

// ---- NHWC ----------------------------------------------------------------------------------------

// Output pixel `at` to its `columns` pixels of `rows` rows, from `to` on. The last vector of channels
// overlaps the one before it.
template <class T, class Gradient>
FASTCONV_LEAF void square_pixel(const Gradient& gradient, int64_t C, int64_t at, Lane<T> factor,
                                int64_t rows, int64_t columns, T* __restrict__ to, int64_t row) {
  constexpr int L = LANES<T>;
  for (int64_t next = 0; next < C; next += L) {
    const int64_t c = next + L > C ? C - L : next;
    const auto outputs = gradient.channels(at + c, L, factor);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < columns; ++k)
        Gradient::put(to + r * row + k * C + c,
                      outputs.of(broadcast(static_cast<LaneInteger<T>>(2 * r + k))), L);
  }
}

// A row of grad_x with fewer channels than lanes. A vector runs over the pixels behind it, which are
// stored later; it has to end before `end`. `readable`: elements of the image's outputs from its
// first on.
template <class T, class Gradient>
FASTCONV_LEAF void narrow_square_row(const Pool2dShape& s, const Gradient& gradient, int64_t oh,
                                     int64_t r, int64_t readable, T* to, const T* end) {
  constexpr int L = LANES<T>;
  const int C = static_cast<int>(s.C);
  for (int64_t ow = 0; ow < s.OW; ++ow) {
    const int64_t at = (oh * s.OW + ow) * C;
    const auto outputs =
        gradient.channels(at, at + L <= readable ? L : C, gradient.factor(s, oh, ow));
    for (int64_t k = 0; k < 2 && 2 * ow + k < s.IW; ++k) {
      T* pixel = to + (2 * ow + k) * C;
      Gradient::put(pixel, outputs.of(broadcast(static_cast<LaneInteger<T>>(2 * r + k))),
                    end - pixel >= L ? L : C);
    }
  }
}

// Rows 2 * p.at and 2 * p.at + 1 of grad_x; p.y is the first of them.
template <class T, class Gradient>
FASTCONV_LEAF void square_rows(const Pool2dShape& shape, const PoolRow<T>& p,
                               const Gradient& given) {
  const Pool2dShape s = shape;  // copies of our own, which stores cannot change
  const Gradient gradient = given;
  constexpr int L = LANES<T>;
  const int64_t oh = p.at, row = s.IW * s.C, rows = s.IH - 2 * oh < 2 ? 1 : 2;
  if (oh < s.OH && s.C < L) {
    for (int64_t r = 0; r < rows; ++r)
      narrow_square_row<T>(s, gradient, oh, r, s.OH * s.OW * s.C, p.y + r * row, p.y + rows * row);
  } else if (oh < s.OH) {
    for (int64_t ow = 0; ow < s.OW; ++ow) {
      const int64_t at = (oh * s.OW + ow) * s.C;
      const Lane<T> factor = gradient.factor(s, oh, ow);
      T* to = p.y + 2 * ow * s.C;
      if (rows == 2 && 2 * ow + 1 < s.IW)
        square_pixel<T>(gradient, s.C, at, factor, 2, 2, to, row);
      else
        square_pixel<T>(gradient, s.C, at, factor, rows, s.IW - 2 * ow < 2 ? 1 : 2, to, row);
    }
  }
  const int64_t under = oh < s.OH ? (s.OW < (s.IW + 1) / 2 ? 2 * s.OW * s.C : row) : 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = under; i < row; ++i) p.y[r * row + i] = T(Lane<T>(0));
}

template <class T>
void max_gradient_square_planes(const Pool2dShape& s, const PoolPlanes<T>& p, ConstCodes codes) {
  square_planes(s, p, MaxSquares<T>{p.x, codes});
}
template <class T>
void max_gradient_square_rows(const Pool2dShape& s, const PoolRow<T>& p, ConstCodes codes) {
  square_rows(s, p, MaxSquares<T>{p.x, codes});
}
template <class T>
void avg_gradient_square_rows(const Pool2dShape& s, const PoolRow<T>& p) {
  square_rows(s, p, AvgSquares<T>{p.x});
}
