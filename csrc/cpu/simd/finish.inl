// The end of an epilogue on vectors of sums (formula: table.h). Layer: cpu/simd.

// min(max(v, lowest), highest), and a NaN stays a NaN.
template <class T>
FASTCONV_LEAF Vec<T> clamp(Vec<T> v, Vec<T> lowest, Vec<T> highest) {
  v = v < lowest ? lowest : v;
  return v > highest ? highest : v;
}

// A Finish in registers, for results from `out` on.
template <class T>
struct Finisher {
  const T *out, *addend;
  Vec<T> lowest, highest;

  FASTCONV_LEAF Finisher(const Finish<T>& finish, const T* beside)
      : out(beside),
        addend(finish.addend),
        lowest(broadcast(finish.lowest)),
        highest(broadcast(finish.highest)) {}
  FASTCONV_LEAF Vec<T> finished(const T* to, Vec<T> v) const {
    if (addend) v += load(addend + (to - out));
    return clamp<T>(v, lowest, highest);
  }
  FASTCONV_LEAF Vec<T> finished(const T* to, Vec<T> v, int count) const {
    if (addend) v += load_partial(addend + (to - out), count);
    return clamp<T>(v, lowest, highest);
  }
  // How rows.inl stores a vector, or the first `count` of its lanes.
  FASTCONV_LEAF void whole(T* to, Vec<T> v) const { store(to, finished(to, v)); }
  FASTCONV_LEAF void part(T* to, Vec<T> v, int count) const {
    store_partial(to, finished(to, v, count), count);
  }
};
