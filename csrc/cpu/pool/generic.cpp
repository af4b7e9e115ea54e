// The leaf kernels of the pools for any CPU.
#include "../simd/generic.h"
#include "leaves.inl"
