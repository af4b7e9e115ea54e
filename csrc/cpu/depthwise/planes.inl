// Rows of one plane of a depthwise convolution with stride 1 (formula: table.h). Layer: cpu/depthwise,
// leaf kernels.

//             LANES columns                    x: each vector is loaded once for a column of taps and
//         +------+                             feeds up to KH rows
//   rows  | acc  |  PLANE_ROWS rows            w: KH broadcasts, in registers for a column of taps
//         +------+                             per column of taps: PLANE_ROWS + KH - 1 loads feed
//                                              PLANE_ROWS * KH multiply-adds
// At an edge some taps of some lanes are beyond the sides of the image. There x becomes 0 and so does
// the weight, so a NaN of either does not count. What is loaded beyond a side is a neighbouring row
// or plane, but for the first and last plane of the tensor, where loads are masked. Rows of taps
// above or below the image are left out.
//
// FLAT: an NHWC image of fewer channels than lanes is one plane, whose columns are the elements of its
// rows. Neighbouring taps are C elements apart, and a weight is a vector that repeats every C lanes:
//   C = 3    x  a0 b0 c0 a1 b1 c1 a2 b2 | c2 ...    w  a b c a b c a b | c a b c a b c a | b c ...
enum class Sides { inside, edge, edge_of_tensor };

template <class T, int ROWS, bool FLAT, Sides SIDES>
FASTCONV_LEAF void plane_taps(const DepthwisePlane<T>& t, int64_t top, int64_t left,
                              const SumOf<T>* first_w, Vec<T> (&acc)[PLANE_ROWS]) {
  static_assert(PLANE_ROWS + ROWS + 1 <= REGISTERS, "sums, weights and one x stay in registers");
  const int64_t low = -top, high = t.IH - top;  // rows inside the image
  if (high <= 0 || low >= PLANE_ROWS + ROWS - 1) return;
  for (int64_t b = 0; b < t.KW; ++b) {
    const int64_t column = left + b * t.x_column;
    if (SIDES != Sides::inside && (column >= t.IW || column + LANES<T> <= 0)) continue;
    const LaneMask<T> inside = lane_mask_of<T>(-column, t.IW - column);
    Vec<T> w[ROWS];
#pragma GCC unroll 16
    for (int a = 0; a < ROWS; ++a) {
      const SumOf<T>* from = first_w + a * t.w_row + b * t.w_column;
      w[a] = FLAT ? load(from) : broadcast(*from);
      if (SIDES != Sides::inside) w[a] = keep_lanes<T>(w[a], inside);
      keep_in_register(w[a]);
    }
    const T* x = t.x + top * t.IW + column;
#pragma GCC unroll 16
    for (int r = 0; r < PLANE_ROWS + ROWS - 1; ++r, x += t.IW) {
      if (r < low || r >= high) continue;
      Vec<T> pixels = SIDES == Sides::edge_of_tensor ? load_lanes(x, inside) : load(x);
      if (SIDES == Sides::edge) pixels = keep_lanes<T>(pixels, inside);
      keep_in_register(pixels);
#pragma GCC unroll 16
      for (int a = 0; a < ROWS; ++a)
        if (r >= a && r - a < PLANE_ROWS) acc[r - a] += w[a] * pixels;
    }
  }
}

// KH = 0 serves filters of any number of rows, by 5, 3 and single rows of taps.
template <class T, int KH, bool FLAT, Sides SIDES>
FASTCONV_LEAF void plane_tile(const DepthwisePlane<T>& t, int64_t i0, int64_t j0) {
  const int64_t phase = FLAT ? j0 % t.x_column : 0;  // the channel of the first lane
  const SumOf<T>* w = t.w + phase;
  Vec<T> acc[PLANE_ROWS];
#pragma GCC unroll 16
  for (int i = 0; i < PLANE_ROWS; ++i) acc[i] = FLAT ? load(t.bias + phase) : broadcast(*t.bias);
  const int64_t top = i0 + t.first_row, left = j0 + t.first_column;
  if constexpr (KH != 0) {
    plane_taps<T, KH, FLAT, SIDES>(t, top, left, w, acc);
  } else {
    int64_t a = 0;
    for (; a + 5 <= t.KH; a += 5)
      plane_taps<T, 5, FLAT, SIDES>(t, top + a, left, w + a * t.w_row, acc);
    for (; a + 3 <= t.KH; a += 3)
      plane_taps<T, 3, FLAT, SIDES>(t, top + a, left, w + a * t.w_row, acc);
    for (; a < t.KH; ++a) plane_taps<T, 1, FLAT, SIDES>(t, top + a, left, w + a * t.w_row, acc);
  }
  T* y = t.y + i0 * t.OW + j0;
  if (!t.finish.none) {
    const Finisher<T> way(t.finish, t.y);
#pragma GCC unroll 16
    for (int i = 0; i < PLANE_ROWS; ++i)
      acc[i] = t.OW >= LANES<T> || i0 + i + 1 < t.OH
                   ? way.finished(y + i * t.OW, acc[i])
                   : way.finished(y + i * t.OW, acc[i], static_cast<int>(t.OW));
  }
  if (t.OW >= LANES<T>) {
#pragma GCC unroll 16
    for (int i = 0; i < PLANE_ROWS; ++i) store(y + i * t.OW, acc[i]);
  } else {  // a row overwrites what the one above it has stored beyond its end
#pragma GCC unroll 16
    for (int i = 0; i < PLANE_ROWS; ++i)
      if (i0 + i + 1 < t.OH)
        store(y + i * t.OW, acc[i]);
      else
        store_partial(y + i * t.OW, acc[i], static_cast<int>(t.OW));
  }
}

// The last tile overlaps the tile before it, and computes the same sums again.
template <class T, int KH, bool FLAT>
void depthwise_plane(const DepthwisePlane<T>& t) {
  for (int64_t next = t.begin; next < t.end; next += PLANE_ROWS) {
    const int64_t i = next + PLANE_ROWS > t.OH ? t.OH - PLANE_ROWS : next;
    for (int64_t next_j = 0; next_j < t.OW; next_j += LANES<T>) {
      const bool last = next_j + LANES<T> > t.OW && t.OW >= LANES<T>;
      const int64_t j = last ? t.OW - LANES<T> : next_j;
      const int64_t left = j + t.first_column;
      if (t.ahead != 0) {
        const T* x = t.x + (next + t.first_row) * t.IW + j + t.ahead * t.IW;
        const T* y = t.y + next * t.OW + j + t.ahead * t.OW;
        for (int r = 0; r < PLANE_ROWS; ++r) {
          __builtin_prefetch(x + r * t.IW);
          prefetch_to_write(y + r * t.OW);
        }
      }
      if (left >= 0 && left + LANES<T> + (t.KW - 1) * t.x_column <= t.IW)
        plane_tile<T, KH, FLAT, Sides::inside>(t, i, j);
      else if (t.between_planes)
        plane_tile<T, KH, FLAT, Sides::edge>(t, i, j);
      else
        plane_tile<T, KH, FLAT, Sides::edge_of_tensor>(t, i, j);
    }
  }
}
