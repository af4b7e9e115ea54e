// What g++ calls before every access (-fsanitize=thread), and at an index beyond its dimension
// (-fsanitize=bounds). Layer: cuda/simt. The address of the caller tells the line of the access.
#include <string>

#include "state.h"

#define SIMT_HOOK(NAME, SIZE, WRITE) \
  extern "C" void NAME(void* p) { simt::touch(p, SIZE, WRITE, __builtin_return_address(0)); }
#define SIMT_HOOKS(SIZE)                              \
  SIMT_HOOK(__tsan_read##SIZE, SIZE, false)           \
  SIMT_HOOK(__tsan_write##SIZE, SIZE, true)           \
  SIMT_HOOK(__tsan_unaligned_read##SIZE, SIZE, false) \
  SIMT_HOOK(__tsan_unaligned_write##SIZE, SIZE, true)
SIMT_HOOKS(1)
SIMT_HOOKS(2)
SIMT_HOOKS(4)
SIMT_HOOKS(8)
SIMT_HOOKS(16)
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_read_range(char* p, long size) {
  for (long i = 0; i < size; ++i) simt::touch(p + i, 1, false, __builtin_return_address(0));
}
void __tsan_write_range(char* p, long size) {
  for (long i = 0; i < size; ++i) simt::touch(p + i, 1, true, __builtin_return_address(0));
}
// g++ -fsanitize=bounds calls this when an index leaves an array's dimension.
void __ubsan_handle_out_of_bounds(void* where, void* index) {
  const auto* place = static_cast<const simt::Place*>(where);  // file, line, column, types
  simt::report("index out of bounds",
               "index " + std::to_string(reinterpret_cast<int64_t>(index)) +
                   " leaves its dimension of an array",
               *place);
}
}
