// The leaf kernels of rows for any CPU.
#include "generic.h"
#include "leaves.inl"
