"""Static evidence of memory traffic: the bytes that blocks read and write, beside the compulsory
ones (each element of the tensors once). Figures of the SIMT shim, not of a GPU."""

import pytest
import torch
from cases import ConvCase, PoolCase
from cuda_calls import conv_shape, dense, pool_shape
from cuda_shim import Tuning

# What neighbouring blocks read twice at their borders; channels_last blocks own fewer rows.
MOST = {("depthwise", True): 1.25}
MOST_ELSE = 1.2
DEPTHWISE = ConvCase("3x3", 1, 8, 28, 28, 8, 3, 3, padding=(1, 1, 1, 1), groups=8)
POOL = PoolCase("2x2", 1, 8, 28, 28, (2, 2), (2, 2))


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("what", ["depthwise", "max pool", "average pool"])
def test_bytes_moved_beside_compulsory_ones(shim, what, last):
    shim.reset(counting=True)
    case = DEPTHWISE if what == "depthwise" else POOL
    x = dense(case.input_size, torch.float32, last, torch.Generator().manual_seed(1))
    at, tuning = shim.give("x", x), Tuning()
    if what == "depthwise":
        count = 8 * 28 * 28
        w, y = shim.give("w", torch.ones(8, 1, 3, 3)), shim.memory("y", count, 4)
        shape = conv_shape(case, last, last, last)
        code = shim.call("conv2d_forward", 0, shape, at, w, None, y, 0, tuning, None)
    else:
        count = 8 * 14 * 14
        shape, y = pool_shape(case, last), shim.memory("y", count, 4)
        if what == "max pool":
            code = shim.call("max_pool2d_forward", 0, shape, at, y, None, tuning, None)
        else:
            code = shim.call("avg_pool2d_forward", 0, shape, at, y, tuning, None)
    counted = shim.counters()
    assert code == 0 and shim.errors() == [] and counted["launches"] == 1
    moved = counted["bytes_read"] + counted["bytes_written"]
    ratio = moved / (4 * (x.numel() + count))
    print(f"{what}, {'nhwc' if last else 'nchw'}: {ratio:.3f} of the compulsory bytes;", counted)
    assert 1 <= ratio <= MOST.get((what, last), MOST_ELSE)
