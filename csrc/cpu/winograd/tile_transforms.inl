// Winograd's transforms between pixels and points with lanes = tiles (formula: axis_transforms.inl).
// Layer: cpu/winograd, leaf kernels.

// Turn OUT vectors of pixels, with LANES / OUT tiles each, into OUT columns of LANES tiles, and
// back. Tile i has lane i if OUT is 2, and the lane of WinogradRows if OUT is 4.
template <class T, int OUT>
FASTCONV_LEAF void pixels_to_columns(Vec<T>* a) {
  if constexpr (OUT == 4) {
    transpose_quads<T>(a);
  } else {
    const Vec<T> even = even_lanes<T>(a[0], a[1]);
    a[1] = odd_lanes<T>(a[0], a[1]);
    a[0] = even;
  }
}
template <class T, int OUT>
FASTCONV_LEAF void columns_to_pixels(Vec<T>* a) {
  if constexpr (OUT == 4) {
    transpose_quads<T>(a);
  } else {
    const Vec<T> low = zip<T, 0>(a[0], a[1]);
    a[1] = zip<T, 1>(a[0], a[1]);
    a[0] = low;
  }
}

// Makes the six columns of tiles that are two pixels apart and come in pairs. Pair i has eight
// pixels at at(i). Its even pixels e0 ... e3 give columns 0, 2 and 4 of both tiles: (e0, e1), (e1,
// e2), (e2, e3). Its odd pixels give columns 1, 3 and 5.
template <class T, class At>
FASTCONV_LEAF void pairs_to_columns(const At& at, Vec<T>* d) {
  constexpr int PAIRS = LANES<T> / 8;  // of a vector
  Vec<T> pixels[4];
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s)
    pixels[s] = load_pieces<T, 8>([&](int i) { return at(s * PAIRS + i); });
  const Vec<T> even[] = {even_lanes<T>(pixels[0], pixels[1]), even_lanes<T>(pixels[2], pixels[3])};
  const Vec<T> odd[] = {odd_lanes<T>(pixels[0], pixels[1]), odd_lanes<T>(pixels[2], pixels[3])};
  d[0] = two_of_four<T, 0>(even[0], even[1]);
  d[1] = two_of_four<T, 0>(odd[0], odd[1]);
  d[2] = two_of_four<T, 1>(even[0], even[1]);
  d[3] = two_of_four<T, 1>(odd[0], odd[1]);
  d[4] = two_of_four<T, 2>(even[0], even[1]);
  d[5] = two_of_four<T, 2>(odd[0], odd[1]);
}

// Transforms pixels to points with lanes = tiles of one channel. Pixels lie as in the image. Column
// OUT + q of a tile is column q of the pixels that lie OUT to the right. Vectors of pixels are
// loaded in pieces of whole tiles.
template <class T, int OUT, int PIECE>
void rows_to_points(const WinogradRows<T>& t) {
  constexpr int TILES = LANES<T> / OUT, PIECE_TILES = PIECE / OUT;
  const T* __restrict__ pixels = t.pixels_in;
  T* __restrict__ points = t.points_out;
  const int32_t* offset = t.offset;
  for (int64_t v = 0; v < t.count; ++v) {
    Vec<T> rows[POINTS][POINTS];
#pragma GCC unroll 8
    for (int r = 0; r < POINTS; ++r) {
      const T* row = pixels + r * t.pixel_row;
      Vec<T> d[8];  // columns of the tiles
      if constexpr (OUT == 2 && PIECE_TILES == 2 && LANES<T> >= 8) {
        pairs_to_columns<T>([&](int i) { return row + offset[i * PIECE_TILES]; }, d);
      } else {
#pragma GCC unroll 4
        for (int q = 0; q < POINTS; q += OUT) {
#pragma GCC unroll 4
          for (int s = 0; s < OUT; ++s)
            d[q + s] = load_pieces<T, PIECE>(
                [&](int i) { return row + q + offset[s * TILES + i * PIECE_TILES]; });
          pixels_to_columns<T, OUT>(d + q);
        }
      }
      InputTransform::apply<T>(d, rows[r]);
    }
#pragma GCC unroll 8
    for (int j = 0; j < POINTS; ++j) {
      Vec<T> column[POINTS], out[POINTS];
#pragma GCC unroll 8
      for (int r = 0; r < POINTS; ++r) column[r] = rows[r][j];
      InputTransform::apply<T>(column, out);
#pragma GCC unroll 8
      for (int i = 0; i < POINTS; ++i)
        store_point<T>(t.stream, points + (i * POINTS + j) * t.point, out[i]);
    }
    offset += LANES<T>;
    points += LANES<T>;
  }
}

// The inverse for outputs. Returns is_finite of the pixels before the bias.
template <class T, int OUT, int PIECE>
bool rows_from_points(const WinogradRows<T>& t) {
  constexpr int TILES = LANES<T> / OUT, PIECE_TILES = PIECE / OUT;
  using Transform = EvaluateTransposed<OUT, false>;
  const T* __restrict__ points = t.points_in;
  T* __restrict__ pixels = t.pixels_out;
  const int32_t* offset = t.offset;
  const Vec<T> bias = broadcast(t.bias);
  Vec<T> squares{};
  for (int64_t v = 0; v < t.count; ++v) {
    Vec<T> columns[POINTS][OUT];
#pragma GCC unroll 8
    for (int j = 0; j < POINTS; ++j) {
      Vec<T> column[POINTS];
#pragma GCC unroll 8
      for (int i = 0; i < POINTS; ++i) column[i] = load(points + (i * POINTS + j) * t.point);
      Transform::template apply<T>(column, columns[j]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < OUT; ++r) {
      T* to = pixels + r * t.pixel_row;
      Vec<T> row[POINTS], out[OUT];
#pragma GCC unroll 8
      for (int j = 0; j < POINTS; ++j) row[j] = columns[j][r];
      Transform::template apply<T>(row, out);
#pragma GCC unroll 4
      for (int q = 0; q < OUT; ++q) {
        squares += out[q] * out[q];
        out[q] += bias;
      }
      columns_to_pixels<T, OUT>(out);
#pragma GCC unroll 4
      for (int s = 0; s < OUT; ++s)
        store_pieces<T, PIECE>([&](int i) { return to + offset[s * TILES + i * PIECE_TILES]; },
                               out[s]);
    }
    points += LANES<T>;
    offset += LANES<T>;
  }
  return is_finite<T>(squares);
}
