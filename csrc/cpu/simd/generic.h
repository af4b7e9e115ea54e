// The macros of begin.inl for any CPU: 16-byte vectors.
#define ISA generic
#define VECTOR_BYTES 16
#define REGISTER_BYTES 16
#define REGISTERS 16

#include "../../core/half.h"

// float16 without instructions takes a dozen operations an element. They are calls here: in line, in
// every load of a register tile, they would compile for minutes.
namespace fastconv::cpu::generic {
namespace {

__attribute__((noinline, unused)) float widen_half(uint16_t bits) {
  return fastconv::widen_half(bits);
}
__attribute__((noinline, unused)) uint16_t round_to_half(float value) {
  return fastconv::round_to_half(value);
}

}  // namespace
}  // namespace fastconv::cpu::generic
