// Gradients of pooling on NHWC images, a row of grad_x at a time (formulas: gradient_rows.inl).
// Lanes are the channels of one pixel. Each pixel gathers from the outputs whose windows hold it,
// in the order of the outputs, as torch does.

// An output over a pixel: where it is, and what the gradient needs of the pixel's place in it.
template <class T>
struct MaxCover {
  int64_t from, code;
};
template <class T>
struct AvgCover {
  int64_t from;
  Lane<T> factor;
};

template <class T>
struct MaxPixelGradient {
  using Cover = MaxCover<T>;
  const T* grad_y;
  ConstCodes codes;

  FASTCONV_LEAF Cover cover(const Pool2dShape& s, int64_t from, int64_t, int64_t, int64_t kh,
                            int64_t kw) const {
    return {from, kh * s.KW + kw};
  }
  FASTCONV_LEAF Vec<T> read(const Cover& cover, int64_t c) const {
    const int64_t at = cover.from + c;
    const auto wanted = broadcast(static_cast<LaneInteger<T>>(cover.code));
    return load_codes<T>(codes + at) == wanted ? load(grad_y + at) : Vec<T>{};
  }
  FASTCONV_LEAF Vec<T> read(const Cover& cover, int64_t c, int count) const {
    const int64_t at = cover.from + c;
    const auto wanted = broadcast(static_cast<LaneInteger<T>>(cover.code));
    const auto chosen = load_codes<T>(codes + at, lane_range<T>(0, count)) == wanted;
    return chosen ? load_partial(grad_y + at, count) : Vec<T>{};
  }
};

template <class T>
struct AvgPixelGradient {
  using Cover = AvgCover<T>;
  const T* grad_y;

  FASTCONV_LEAF Cover cover(const Pool2dShape& s, int64_t from, int64_t oh, int64_t ow, int64_t,
                            int64_t) const {
    const int64_t by_columns = s.divisor_override ? 1 : s.columns_divisor(ow);
    return {from, 1 / static_cast<Lane<T>>(row_divisor(s, oh) * by_columns)};
  }
  FASTCONV_LEAF Vec<T> read(const Cover& cover, int64_t c) const {
    return load(grad_y + cover.from + c) * broadcast(cover.factor);
  }
  FASTCONV_LEAF Vec<T> read(const Cover& cover, int64_t c, int count) const {
    return load_partial(grad_y + cover.from + c, count) * broadcast(cover.factor);
  }
};

// The last `left` channels, from c on. A call: in line in each gather_pixel it would be most of the code.
template <class T, class Gradient>
__attribute__((noinline)) void gather_rest(const Gradient& gradient, int64_t c, int left, int count,
                                           const typename Gradient::Cover* covers, bool add,
                                           T* __restrict__ to) {
  Vec<T> sum = add ? load_partial(to + c, left) : Vec<T>{};
  for (int i = 0; i < count; ++i) sum += gradient.read(covers[i], c, left);
  store_partial(to + c, sum, left);
}

// COVERS is 0 where only known at run time. `add`: to what is there.
template <class T, int COVERS, class Gradient>
FASTCONV_LEAF void gather_pixel(const Gradient& gradient, int64_t C, int many,
                                const typename Gradient::Cover* covers, bool add,
                                T* __restrict__ to) {
  constexpr int L = LANES<T>;
  const int count = COVERS ? COVERS : many;
  int64_t c = 0;
  for (; c + L <= C; c += L) {
    Vec<T> sum = add ? load(to + c) : Vec<T>{};
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) sum += gradient.read(covers[i], c);
    store(to + c, sum);
  }
  if (c < C) gather_rest<T>(gradient, c, static_cast<int>(C - c), count, covers, add, to);
}

template <class T, class Gradient>
FASTCONV_LEAF void gradient_pixels(const Pool2dShape& shape, const PoolRow<T>& p,
                                   const Gradient& gradient) {
  constexpr int MOST = 16;      // outputs gathered in one sweep over the channels
  const Pool2dShape s = shape;  // a copy of our own, which stores cannot change
  const Window rows = s.rows_over(p.at);
  Window columns = s.columns_over(0);
  using Cover = typename Gradient::Cover;
  Cover covers[MOST];
  for (int64_t iw = 0; iw < s.IW; ++iw) {
    columns = s.horizontal().over(iw, columns);
    T* to = p.y + iw * s.C;
    int many = 0;
    bool add = false;
    const auto for_each_cover = [&](const auto& f) {
      for (int64_t oh = rows.first; oh < rows.end; ++oh) {
        const int64_t above = p.at - s.row_start(oh);
        if (s.dilation_h != 1 && above % s.dilation_h != 0) continue;
        for (int64_t ow = columns.first; ow < columns.end; ++ow) {
          const int64_t before = iw - s.column_start(ow);
          if (s.dilation_w != 1 && before % s.dilation_w != 0) continue;
          const int64_t kh = s.dilation_h == 1 ? above : above / s.dilation_h;
          const int64_t kw = s.dilation_w == 1 ? before : before / s.dilation_w;
          f(gradient.cover(s, (oh * s.OW + ow) * s.C, oh, ow, kh, kw));
        }
      }
    };
    if constexpr (IS_HALF<T>)
      if ((rows.end - rows.first) * (columns.end - columns.first) > MOST) {
        // No sum is rounded before it is complete.
        for (int64_t c = 0; c < s.C; c += LANES<T>) {
          const int count = lanes_left(s.C - c, LANES<T>);
          Vec<T> sum{};
          for_each_cover([&](const Cover& cover) { sum += gradient.read(cover, c, count); });
          store_first(to + c, sum, count);
        }
        continue;
      }
    for_each_cover([&](const Cover& cover) {
      if (many == MOST) {
        gather_pixel<T, 0>(gradient, s.C, many, covers, add, to);
        many = 0;
        add = true;
      }
      covers[many++] = cover;
    });
    if (add || many > 4 || many == 3 || many == 0)
      gather_pixel<T, 0>(gradient, s.C, many, covers, add, to);
    else if (many == 1)
      gather_pixel<T, 1>(gradient, s.C, many, covers, false, to);
    else if (many == 2)
      gather_pixel<T, 2>(gradient, s.C, many, covers, false, to);
    else
      gather_pixel<T, 4>(gradient, s.C, many, covers, false, to);
  }
}

template <class T>
void max_pool_gradient_pixels(const Pool2dShape& s, const PoolRow<T>& p, ConstCodes codes) {
  gradient_pixels(s, p, MaxPixelGradient<T>{p.x, codes});
}

template <class T>
void avg_pool_gradient_pixels(const Pool2dShape& s, const PoolRow<T>& p) {
  gradient_pixels(s, p, AvgPixelGradient<T>{p.x});
}
