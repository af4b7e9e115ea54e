// any CPU: 16-byte vectors (macros: begin.inl).
#define ISA generic
#define VECTOR_BYTES 16
#define REGISTER_BYTES 16
#define REGISTERS 16
