// The leaf kernels of grouped convolution for any CPU.
#include "../simd/generic.h"
#include "leaves.inl"
