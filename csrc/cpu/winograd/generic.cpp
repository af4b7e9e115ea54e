// The leaf kernels of Winograd for any CPU.
#include "../simd/generic.h"
#include "leaves.inl"
