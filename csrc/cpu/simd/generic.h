// The macros of begin.inl for any CPU: 16-byte vectors.
#define ISA generic
#define VECTOR_BYTES 16
#define REGISTER_BYTES 16
#define REGISTERS 16
