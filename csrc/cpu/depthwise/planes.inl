// Rows of one plane of a depthwise convolution with stride 1, NCHW (formula: table.h). Layer:
// cpu/depthwise, leaf kernels.

//             LANES columns                    x: each vector is loaded once for a column of taps and
//         +------+                             feeds up to KH rows
//   rows  | acc  |  PLANE_ROWS rows            w: KH broadcasts, in registers for a column of taps
//         +------+                             per column of taps: PLANE_ROWS + KH - 1 loads feed
//                                              PLANE_ROWS * KH multiply-adds
// At an edge some taps of some lanes are beyond the sides of the image. There x becomes 0 and so does
// the weight, so a NaN of either does not count. What is loaded beyond a side is a neighbouring row
// or plane, but for the first and last plane of the tensor, where loads are masked. Rows of taps
// above or below the image are left out.
enum class Sides { inside, edge, edge_of_tensor };

template <class T, int KH, Sides SIDES>
FASTCONV_LEAF void plane_tile(const DepthwisePlane<T>& t, int64_t i0, int64_t j0) {
  static_assert(PLANE_ROWS + KH + 1 <= REGISTERS, "sums, weights and one x stay in registers");
  Vec<T> acc[PLANE_ROWS];
#pragma GCC unroll 16
  for (int i = 0; i < PLANE_ROWS; ++i) acc[i] = broadcast(t.bias);
  const int64_t top = i0 + t.first_row, left = j0 + t.first_column;
  const int64_t low = -top, high = t.IH - top;  // rows inside the image
  for (int64_t b = 0; b < t.KW; ++b) {
    const int64_t column = left + b;
    const LaneMask<T> inside = lane_mask_of<T>(-column, t.IW - column);
    Vec<T> w[KH];
#pragma GCC unroll 16
    for (int a = 0; a < KH; ++a) {
      w[a] = broadcast(t.w[a * t.w_row + b * t.w_column]);
      if (SIDES != Sides::inside) w[a] = keep_lanes<T>(w[a], inside);
      keep_in_register(w[a]);
    }
    const T* x = t.x + top * t.IW + column;
#pragma GCC unroll 16
    for (int r = 0; r < PLANE_ROWS + KH - 1; ++r, x += t.IW) {
      if (r < low || r >= high) continue;
      Vec<T> pixels = SIDES == Sides::edge_of_tensor ? load_lanes(x, inside) : load(x);
      if (SIDES == Sides::edge) pixels = keep_lanes<T>(pixels, inside);
      keep_in_register(pixels);
#pragma GCC unroll 16
      for (int a = 0; a < KH; ++a)
        if (r >= a && r - a < PLANE_ROWS) acc[r - a] += w[a] * pixels;
    }
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
template <class T, int KH>
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
      if (left >= 0 && left + LANES<T> + t.KW - 1 <= t.IW)
        plane_tile<T, KH, Sides::inside>(t, i, j);
      else if (t.between_planes)
        plane_tile<T, KH, Sides::edge>(t, i, j);
      else
        plane_tile<T, KH, Sides::edge_of_tensor>(t, i, j);
    }
  }
}
