// The gradient of depthwise filters over rows of one plane, stride 1 (formula: table.h). Layer:
// cpu/depthwise, leaf kernels.
//
//   lanes: columns      grad_y: one vector, loaded once for all taps
//   acc[n], n < N       x: one load for each tap and vector, at the tap's distance
// Where all taps of a vector are inside, N sums stay in registers. At the edges each tap is masked by
// itself, so that nothing outside of the image counts.

// N is at least the number of taps; surplus ones repeat the first tap, and are not stored. Vectors
// first, first + step ... of row i, before `end`.
template <class T, int N>
void plane_sums_inside(const DepthwisePlaneSums<T>& t, int64_t i_begin, int64_t i_end,
                       int64_t j_begin, int64_t j_end) {
  static_assert(N + 2 <= REGISTERS, "sums, grad_y and one x stay in registers");
  int64_t at[N];
  for (int n = 0; n < N; ++n) {
    const int tap = n < t.taps ? n : 0;
    at[n] = t.row[tap] * t.IW + t.column[tap];
  }
  Vec<T> acc[N] = {};
  for (int64_t i = i_begin; i < i_end; ++i)
    for (int64_t j = j_begin; j < j_end; j += t.step) {
      const Vec<T> g = load(t.grad_y + i * t.OW + j);
      const T* x = t.x + i * t.IW + j;
#pragma GCC unroll 16
      for (int n = 0; n < N; ++n) acc[n] += g * load(x + at[n]);
    }
  for (int n = 0; n < t.taps; ++n) {
    SumOf<T>* to = t.sums + n * LANES<T>;
    store(to, load(to) + acc[n]);
  }
}

// One vector at (i, j), tap by tap.
template <class T>
FASTCONV_LEAF void plane_sums_edge(const DepthwisePlaneSums<T>& t, int64_t i, int64_t j) {
  for (int n = 0; n < t.taps; ++n) {
    const int64_t row = i + t.row[n], column = j + t.column[n];
    if (row < 0 || row >= t.IH || column >= t.IW || column + LANES<T> <= 0) continue;
    const int64_t wide = t.IW - column < t.OW - j ? t.IW - column : t.OW - j;
    const LaneMask<T> inside = lane_mask_of<T>(-column, wide);
    SumOf<T>* to = t.sums + n * LANES<T>;
    const Vec<T> g = load_lanes(t.grad_y + i * t.OW + j, inside);
    store(to, load(to) + g * load_lanes(t.x + row * t.IW + column, inside));
  }
}

template <class T>
void depthwise_plane_sums(const DepthwisePlaneSums<T>& given) {
  const DepthwisePlaneSums<T> t = given;  // a copy of our own, which stores cannot change
  constexpr int L = LANES<T>;
  int64_t top = 0, bottom = 0, left = 0, right = 0;  // how far taps reach
  for (int n = 0; n < t.taps; ++n) {
    top = t.row[n] < top ? t.row[n] : top;
    bottom = t.row[n] > bottom ? t.row[n] : bottom;
    left = t.column[n] < left ? t.column[n] : left;
    right = t.column[n] > right ? t.column[n] : right;
  }
  const auto between = [](int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
  };
  const int64_t i_begin = between(-top, t.begin, t.end);
  const int64_t i_end = between(t.IH - bottom, i_begin, t.end);
  // The first vector inside, and the end of the vectors inside.
  const int64_t steps = left < -t.first ? (-left - t.first + t.step - 1) / t.step : 0;
  const int64_t j_begin = t.first + steps * t.step;
  const int64_t room = (t.OW < t.IW - right ? t.OW : t.IW - right) - L + 1;
  const int64_t j_end = room < j_begin ? j_begin : room;
  if (j_end > j_begin) {
    if (t.taps <= 4)
      plane_sums_inside<T, 4>(t, i_begin, i_end, j_begin, j_end);
    else if (t.taps <= 6)
      plane_sums_inside<T, 6>(t, i_begin, i_end, j_begin, j_end);
    else if (t.taps <= 9)
      plane_sums_inside<T, 9>(t, i_begin, i_end, j_begin, j_end);
    else
      plane_sums_inside<T, 12>(t, i_begin, i_end, j_begin, j_end);
  }
  for (int64_t i = t.begin; i < t.end; ++i) {
    const bool inside = i >= i_begin && i < i_end;
    for (int64_t j = t.first; j < t.OW; j += t.step)
      if (!inside || j < j_begin || j >= j_end) plane_sums_edge(t, i, j);
  }
  if (!t.bias_sum) return;
  Vec<T> bias = load(t.bias_sum);
  for (int64_t i = t.begin; i < t.end; ++i)
    for (int64_t j = t.first; j < t.OW; j += t.step)
      bias += load_first(t.grad_y + i * t.OW + j, t.OW - j < L ? static_cast<int>(t.OW - j) : L);
  store(t.bias_sum, bias);
}
