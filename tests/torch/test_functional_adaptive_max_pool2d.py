"""adaptive_max_pool2d of fastconv.functional against torch, exactly."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import vmap

import fastconv
from fastconv.functional import adaptive_max_pool2d

SIZES = {
    "windows that overlap": ((2, 5, 7, 9), (3, 4)),
    "windows that tile": ((2, 3, 8, 8), 4),
    "output larger than input": ((1, 2, 3, 3), (5, 4)),
    "extent kept": ((1, 6, 5, 5), (None, 1)),
    "unbatched": ((3, 6, 5), 2),
}
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def special(size, dtype) -> torch.Tensor:
    x = torch.randn(size).round()
    x[torch.rand(size) < 0.1] = float("nan")
    x[torch.rand(size) < 0.3] = -float("inf")
    return x.to(dtype)


@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", SIZES)
def test_like_torch(name, dtype, channels_last):
    size, output = SIZES[name]
    x = special(size, dtype)
    if channels_last and x.dim() == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    ours_x, torchs_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, indices = adaptive_max_pool2d(ours_x, output, return_indices=True)
    want, want_indices = F.adaptive_max_pool2d(torchs_x, output, return_indices=True)
    torch.testing.assert_close(y, want, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(indices, want_indices)
    assert y.stride() == want.stride() or channels_last
    grad = torch.ones_like(y)  # small integers: their sums are exact
    y.backward(grad)
    want.backward(grad)
    assert torch.equal(ours_x.grad, torchs_x.grad)
    with torch.no_grad():
        torch.testing.assert_close(
            adaptive_max_pool2d(x, output), want, rtol=0, atol=0, equal_nan=True
        )


def test_gradients():
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64, requires_grad=True)

    def pool(t):
        return adaptive_max_pool2d(t, (3, 2))

    torch.autograd.gradcheck(pool, x, check_forward_ad=True, check_batched_grad=True)
    torch.autograd.gradgradcheck(pool, x)


def test_vmap():
    x = torch.randn(4, 2, 3, 7, 6)
    want = torch.stack([F.adaptive_max_pool2d(t, 2) for t in x])
    assert torch.equal(vmap(lambda t: adaptive_max_pool2d(t, 2))(x), want)


@pytest.mark.parametrize("return_indices", [False, True])
def test_module_and_routing(return_indices):
    x = torch.randn(2, 3, 7, 6)
    theirs = torch.nn.AdaptiveMaxPool2d((3, 2), return_indices=return_indices)
    ours = fastconv.convert(torch.nn.Sequential(theirs))
    assert type(ours[0]) is fastconv.AdaptiveMaxPool2d
    want = torch.nn.AdaptiveMaxPool2d((3, 2), return_indices=return_indices)(x)
    fastconv.fallbacks(reset=True)
    with fastconv.enabled():
        routed = F.adaptive_max_pool2d(x, (3, 2), return_indices=return_indices)
    for got in (ours(x), routed):
        torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert not fastconv.fallbacks()
    assert type(fastconv.revert(ours)[0]) is torch.nn.AdaptiveMaxPool2d


@pytest.mark.parametrize("with_codes", [False, True])
def test_operator(with_codes):
    x = torch.randn(2, 3, 7, 6)
    operators = torch.ops.fastconv
    torch.library.opcheck(operators.adaptive_max_pool2d.default, (x, [3, 2], with_codes))
    if with_codes:
        y, codes = operators.adaptive_max_pool2d(x, [3, 2], True)
        torch.library.opcheck(operators.adaptive_max_pool2d_indices.default, (codes, x, [3, 2]))
        rest = (codes, [2, 3, 7, 6], [3, 2], False)
        torch.library.opcheck(operators.adaptive_max_pool2d_backward.default, (y, *rest))


def test_wrong_arguments_raise_torchs_errors():
    for given in ((torch.randn(2, 3, 0, 4), 2), (torch.randn(4, 4), 2)):
        with pytest.raises(Exception) as want:
            F.adaptive_max_pool2d(*given)
        with pytest.raises(type(want.value)):
            adaptive_max_pool2d(*given)
