// Pooling in vectors (formulas: ../../shape.h): lanes are neighbouring outputs of an NCHW row, or
// channels of an NHWC pixel. Max follows torch: a later element wins if it is greater or NaN, so
// the first maximum and the last NaN win.

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

template <class T>
FASTCONV_LEAF Vec<T> lowest() {
  return broadcast(static_cast<T>(-__builtin_inf()));
}

template <class T>
FASTCONV_LEAF void store_best(const Best<T>& best, int count, T* y, int64_t* indices) {
  store_partial(y, best.value, count);
  if (!indices) return;
  for (int i = 0; i < LANES<T>; ++i)
    if (i < count) indices[i] = best.index[i];
}

template <class T>
void max_pool_row(const MaxPoolRow<T>& t) {
  using Integer = LaneInteger<T>;
  const PoolRow<T>& p = t.pool;
  for (int64_t j = 0; j < p.outputs; j += LANES<T>) {
    Best<T> best{lowest<T>(), load(t.first_column + j) + static_cast<Integer>(t.first_row)};
    const Vec<Integer> start = load(t.start_column + j);
    for (int64_t r = 0; r < p.rows; ++r) {
      const T* x = p.x + r * p.row_pitch + j;
      const int64_t row = t.first_row + r * t.row_step;
      for (int64_t s = 0; s < p.KW; ++s)
        best.offer(load(x + p.column[s]), start + static_cast<Integer>(row + s * t.column_step));
    }
    const int count = static_cast<int>(p.outputs - j < LANES<T> ? p.outputs - j : LANES<T>);
    store_best<T>(best, count, p.y + j, t.indices ? t.indices + j : nullptr);
  }
}

template <class T>
void avg_pool_row(const AvgPoolRow<T>& t) {
  const PoolRow<T>& p = t.pool;
  for (int64_t j = 0; j < p.outputs; j += LANES<T>) {
    Vec<T> sum{};
    for (int64_t r = 0; r < p.rows; ++r) {
      const T* x = p.x + r * p.row_pitch + j;
      for (int64_t s = 0; s < p.KW; ++s) sum += load(x + p.column[s]);
    }
    sum /= broadcast(t.row_divisor) * load(t.column_divisor + j);
    store_partial(p.y + j, sum,
                  static_cast<int>(p.outputs - j < LANES<T> ? p.outputs - j : LANES<T>));
  }
}

template <class T>
void max_pool_pixel(const MaxPoolPixel<T>& t) {
  using Integer = LaneInteger<T>;
  const PoolPixel<T>& p = t.pool;
  for (int64_t c = 0; c < p.C; c += LANES<T>) {
    const int count = static_cast<int>(p.C - c < LANES<T> ? p.C - c : LANES<T>);
    Best<T> best{lowest<T>(), broadcast(static_cast<Integer>(t.first))};
    for (int64_t r = 0; r < p.rows; ++r)
      for (int64_t s = 0; s < p.columns; ++s)
        best.offer(load_partial(p.x + r * p.row + s * p.column + c, count),
                   broadcast(static_cast<Integer>(t.first + r * t.row_step + s * t.column_step)));
    store_best<T>(best, count, p.y + c, t.indices ? t.indices + c : nullptr);
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
        sum += load_partial(p.x + r * p.row + s * p.column + c, count);
    store_partial(p.y + c, sum / broadcast(t.divisor), count);
  }
}
