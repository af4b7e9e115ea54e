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
#if !defined(TABLE_TYPES)
#define TABLE_TYPES FASTCONV_FOR_EACH_ELEMENT
#endif
#define FASTCONV_PUBLISH(T) template const TABLE<T>& TABLE_NAME<T>();
TABLE_TYPES(FASTCONV_PUBLISH)
#else  // avx2_wide is for tests and has the types that are summed in float
#define FASTCONV_PUBLISH(T)                            \
  const TABLE<T>& TABLE_NAME(const T*) {               \
    static constexpr TABLE<T> table = make_table<T>(); \
    return table;                                      \
  }
FASTCONV_PUBLISH(float)
#if !defined(TABLE_TYPES) && !defined(WIDE_TABLE_OF_FLOAT)
FASTCONV_PUBLISH(Half)
FASTCONV_PUBLISH(BFloat16)
#endif
#endif

}  // namespace fastconv::cpu::ISA

#if defined(TARGET) && defined(__clang__)
#pragma clang attribute pop
#endif
