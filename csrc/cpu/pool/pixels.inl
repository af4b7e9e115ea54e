// Pooling of NHWC images: lanes are the channels of one pixel (formulas: ../../core/shape.h).

template <class T, class Code>
void max_pool_pixel(const PoolPixel<T>& p, Code* codes, int64_t first, int64_t KW) {
  using Integer = LaneInteger<T>;
  for (int64_t c = 0; c < p.C; c += LANES<T>) {
    const int count = lanes_left(p.C - c, LANES<T>);
    Best<T> best{broadcast(static_cast<T>(-__builtin_inf())),
                 broadcast(static_cast<Integer>(first))};
    for (int64_t r = 0; r < p.rows; ++r)
      for (int64_t k = 0; k < p.columns; ++k)
        best.offer(load_first(p.x + r * p.row + k * p.column + c, count),
                   broadcast(static_cast<Integer>(first + r * KW + k)));
    store_first(p.y + c, best.value, count);
    if (codes) store_codes<T>(codes + c, best.code, count);
  }
}

template <class T>
void avg_pool_pixel(const AvgPoolPixel<T>& t) {
  const PoolPixel<T>& p = t.pool;
  for (int64_t c = 0; c < p.C; c += LANES<T>) {
    const int count = lanes_left(p.C - c, LANES<T>);
    Vec<T> sum{};
    for (int64_t r = 0; r < p.rows; ++r)
      for (int64_t s = 0; s < p.columns; ++s)
        sum += load_first(p.x + r * p.row + s * p.column + c, count);
    store_first(p.y + c, sum / broadcast(t.divisor), count);
  }
}

template <class T>
void add_quotient(int64_t count, const T* __restrict__ in, T divisor, T* __restrict__ out) {
  int64_t i = 0;
  for (; i + LANES<T> <= count; i += LANES<T>)
    store(out + i, load(out + i) + load(in + i) / broadcast(divisor));
  for (; i < count; ++i) out[i] += in[i] / divisor;
}

template <class T, class Code>
void add_selected(int64_t count, const T* __restrict__ in, const Code* __restrict__ codes,
                  int64_t code, T* __restrict__ out) {
  const auto wanted = broadcast(static_cast<LaneInteger<T>>(code));
  for (int64_t i = 0; i < count; i += LANES<T>) {
    const LaneRange<T> lanes = lane_range<T>(0, count - i);
    const Vec<T> g = load_range(in + i, lanes, T(0));
    const Vec<T> part = load_codes<T>(codes + i, lanes) == wanted ? g : Vec<T>{};
    store_first(out + i, load_range(out + i, lanes, T(0)) + part, lanes_left(count - i, LANES<T>));
  }
}
