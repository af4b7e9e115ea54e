// The leaf kernels of depthwise convolution for any CPU.
#include "../simd/generic.h"
#include "leaves.inl"
