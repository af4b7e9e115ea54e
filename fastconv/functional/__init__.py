"""Convolution and pooling with the signatures of torch.nn.functional. Layer: functional, over
core.

The kernels are two-dimensional. dim2.py and dim2_pool.py call them; dim1.py, dim3.py, dim3_pool.py,
transposed.py and lp.py make calls of these two, or of their operators. unpool.py has kernels of its
own, for any number of dimensions. others.py leaves calls to torch and counts them.
"""

from fastconv.functional.dim1 import (
    adaptive_avg_pool1d,
    adaptive_max_pool1d,
    avg_pool1d,
    conv1d,
    max_pool1d,
)
from fastconv.functional.dim2 import IntOrPair, conv2d, tracked
from fastconv.functional.dim2_pool import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    max_pool2d,
)
from fastconv.functional.dim3 import conv3d
from fastconv.functional.dim3_pool import adaptive_avg_pool3d, avg_pool3d, max_pool3d
from fastconv.functional.lp import lp_pool1d, lp_pool2d, lp_pool3d
from fastconv.functional.others import (
    adaptive_max_pool3d,
    conv_transpose3d,
    fractional_max_pool2d,
    fractional_max_pool3d,
)
from fastconv.functional.transposed import conv_transpose1d, conv_transpose2d
from fastconv.functional.unpool import max_unpool1d, max_unpool2d, max_unpool3d

__all__ = [
    "IntOrPair",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "tracked",
]
