// Winograd's transforms between pixels and points with lanes = channels (formula: axis_transforms.inl).
// Layer: cpu/winograd, leaf kernels.

// Transforms the pixels of `count` neighbouring tiles to points, in both axes. With SUMMED it also
// adds the pixels to t.sum unless that is null. Each tile has a sum of its own, so that sums are
// short.
template <class T, class Transform, bool SUMMED = false>
void to_points(const WinogradTiles<T>& t) {
  constexpr int FROM = Transform::FROM;
  const T* __restrict__ pixels = t.pixels_in;
  Vec<T> total{};
  for (int64_t tile = 0; tile < t.count; ++tile) {
    T* __restrict__ points = t.points_out + (t.position ? t.position[tile] : tile) * t.point_tile;
    Vec<T> columns[FROM][POINTS];
    [[maybe_unused]] Vec<T> tile_sum{};
#pragma GCC unroll 8
    for (int q = 0; q < FROM; ++q) {
      Vec<T> column[FROM];
#pragma GCC unroll 8
      for (int r = 0; r < FROM; ++r) column[r] = load(pixels + r * t.pixel_row + q * LANES<T>);
      Transform::template apply<T>(column, columns[q]);
      if constexpr (SUMMED) {
        Vec<T> sum = column[0];
#pragma GCC unroll 8
        for (int r = 1; r < FROM; ++r) sum += column[r];
        tile_sum += sum;
      }
    }
    if constexpr (SUMMED) total += tile_sum;
#pragma GCC unroll 8
    for (int i = 0; i < POINTS; ++i) {
      Vec<T> row[FROM], out[POINTS];
#pragma GCC unroll 8
      for (int q = 0; q < FROM; ++q) row[q] = columns[q][i];
      Transform::template apply<T>(row, out);
#pragma GCC unroll 8
      for (int j = 0; j < POINTS; ++j)
        store_point<T>(t.stream, points + (i * POINTS + j) * t.point, out[j]);
    }
    pixels += t.pixel_tile;
  }
  if constexpr (SUMMED)
    if (t.sum) store(t.sum, load(t.sum) + total);
}

// Transforms points to pixels, in both axes, and adds a bias per lane. Returns is_finite of the
// pixels before the bias, or of the points if POINTS_SEEN, because a large point of a sum over many
// tiles may cancel.
template <class T, class Transform, bool POINTS_SEEN>
bool from_points(const WinogradTiles<T>& t) {
  constexpr int TO = Transform::TO;
  const T* __restrict__ points = t.points_in;
  T* __restrict__ pixels = t.pixels_out;
  const Vec<T> bias = t.bias ? load(t.bias) : Vec<T>{};
  Vec<T> squares{};
  for (int64_t tile = 0; tile < t.count; ++tile) {
    Vec<T> columns[POINTS][TO];
#pragma GCC unroll 8
    for (int j = 0; j < POINTS; ++j) {
      Vec<T> column[POINTS];
#pragma GCC unroll 8
      for (int i = 0; i < POINTS; ++i) {
        column[i] = load(points + (i * POINTS + j) * t.point);
        if constexpr (POINTS_SEEN) squares += column[i] * column[i];
      }
      Transform::template apply<T>(column, columns[j]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < TO; ++r) {
      Vec<T> row[POINTS], out[TO];
#pragma GCC unroll 8
      for (int j = 0; j < POINTS; ++j) row[j] = columns[j][r];
      Transform::template apply<T>(row, out);
#pragma GCC unroll 8
      for (int q = 0; q < TO; ++q) {
        if constexpr (!POINTS_SEEN) squares += out[q] * out[q];
        store(pixels + r * t.pixel_row + q * LANES<T>, out[q] + bias);
      }
    }
    points += t.point_tile;
    pixels += t.pixel_tile;
  }
  return is_finite<T>(squares);
}
