// Pooling of NHWC images: lanes are the channels of one pixel (formulas: ../../shape.h).

template <class T>
void max_pool_pixel(const MaxPoolPixel<T>& t) {
  using Integer = LaneInteger<T>;
  const PoolPixel<T>& p = t.pool;
  for (int64_t c = 0; c < p.C; c += LANES<T>) {
    const int count = static_cast<int>(p.C - c < LANES<T> ? p.C - c : LANES<T>);
    Best<T> best{broadcast(static_cast<T>(-__builtin_inf())),
                 broadcast(static_cast<Integer>(t.first))};
    for (int64_t r = 0; r < p.rows; ++r)
      for (int64_t s = 0; s < p.columns; ++s)
        best.offer(load_first(p.x + r * p.row + s * p.column + c, count),
                   broadcast(static_cast<Integer>(t.first + r * t.row_step + s * t.column_step)));
    store_first(p.y + c, best.value, count);
    if (t.indices) store_indices(t.indices + c, best.index, count);
  }
}

template <class T>
void avg_pool_pixel(const AvgPoolPixel<T>& t) {
  const PoolPixel<T>& p = t.pool;
  for (int64_t c = 0; c < p.C; c += LANES<T>) {
    const int count = static_cast<int>(p.C - c < LANES<T> ? p.C - c : LANES<T>);
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

template <class T>
void add_selected(int64_t count, const T* __restrict__ in, const int64_t* __restrict__ indices,
                  int64_t index, T* __restrict__ out) {
  const auto wanted = broadcast(static_cast<LaneInteger<T>>(index));
  for (int64_t i = 0; i < count; i += LANES<T>) {
    const LaneRange<T> lanes = lane_range<T>(0, count - i);
    const Vec<T> g = load_range(in + i, lanes, T(0));
    const auto selected = load_indices<T>(indices + i, lanes) == wanted;
    const Vec<T> sum = load_range(out + i, lanes, T(0)) + (selected ? g : Vec<T>{});
    store_first(out + i, sum, lanes_left(count - i, LANES<T>));
  }
}
