// The leaf kernels of matrix products for any CPU.
#include "../simd/generic.h"
#include "leaves.inl"
