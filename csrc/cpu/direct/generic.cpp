// The leaf kernels of direct convolution for any CPU.
#include "../simd/generic.h"
#include "leaves.inl"
