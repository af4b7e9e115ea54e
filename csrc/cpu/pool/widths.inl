// Codes of either width (table.h). A branch for each vector, which is predicted, and not a kernel for
// each width: that would double the code of max pooling, and the time to compile it.

template <class T>
FASTCONV_LEAF void store_codes(Codes to, Vec<LaneInteger<T>> v, int count) {
  if (to.width == 1)
    store_codes<T>(to.bytes(), v, count);
  else
    store_codes<T>(to.words(), v, count);
}

template <class T>
FASTCONV_LEAF Vec<LaneInteger<T>> load_codes(ConstCodes from, LaneRange<T> range) {
  return from.width == 1 ? load_codes<T>(from.bytes(), range) : load_codes<T>(from.words(), range);
}

// Loads all lanes.
template <class T>
FASTCONV_LEAF Vec<LaneInteger<T>> load_codes(ConstCodes from) {
  return from.width == 1 ? load_codes<T>(from.bytes()) : load_codes<T>(from.words());
}
