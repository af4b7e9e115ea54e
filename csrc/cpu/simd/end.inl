// Closes what begin.inl opened, and defines the function that returns the family's table. The
// includer defines make_table<T>() and the macros TABLE, the type of the table, and TABLE_NAME, the
// function that FASTCONV_TABLE declares. Layer: cpu/simd.

}  // namespace

#if VECTOR_BYTES == REGISTER_BYTES
template <class T>
const TABLE<T>& TABLE_NAME() {
  static constexpr TABLE<T> table = make_table<T>();
  return table;
}
#define FASTCONV_PUBLISH(T) template const TABLE<T>& TABLE_NAME<T>();
FASTCONV_FOR_EACH_ELEMENT(FASTCONV_PUBLISH)
#else  // avx2_wide is for tests and has float alone
const TABLE<float>& TABLE_NAME() {
  static constexpr TABLE<float> table = make_table<float>();
  return table;
}
#endif

}  // namespace fastconv::cpu::ISA

#if defined(TARGET) && defined(__clang__)
#pragma clang attribute pop
#endif
