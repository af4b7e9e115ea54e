"""conv2d with the signature of torch.nn.functional, and what the other functions share with it.
Layer: functional, over core/autograd.py.

What the kernels take: strided CPU tensors of one floating type, 3-D (unbatched) or 4-D. Everything
else is left to torch by `to_torch`, counted (see fallbacks.py); wrong arguments are among it, so
that torch raises its own error.
"""

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from fastconv.core import eager, ops
from fastconv.core.arguments import batched_size, conv2d_args, refusal
from fastconv.core.autograd import Conv2d
from fastconv.core.autograd_base import recorded, transforming
from fastconv.core.casts import lowered
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden
from fastconv.core.tensors import size_of

IntOrPair = int | tuple[int, ...] | list[int]
_compiling = torch.compiler.is_compiling


def autocast(*tensors: Tensor | None) -> tuple:
    """The tensors as torch's autocast would hand them to conv2d: low precision, but for float64."""
    device = tensors[0].device.type
    if device == "meta" or not torch.is_autocast_enabled(device):  # torch refuses to say of meta
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(
        t
        if t is None or not t.is_floating_point() or t.dtype is torch.float64
        else lowered(t, dtype)
        for t in tensors
    )


def refused(input: Tensor, weight: Tensor, bias: Tensor | None) -> str | None:
    """Why the kernels do not take the tensors of a convolution; None if they do."""
    return refusal(input, weight) if bias is None else refusal(input, weight, bias)


def admitted(*given: Tensor | None) -> tuple[tuple, str | None]:
    """(input, weight, bias) as autocast hands them on, and why the kernels do not take them."""
    reason = refused(*given)
    if reason in (None, "dtype"):
        given = autocast(*given)
        reason = refused(*given)
    return given, reason


def checked_conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None, *given: object
) -> tuple[tuple, tuple | None, str]:
    """((x, w, bias) as autocast hands them on, arguments of the operator, "arguments"). The
    arguments are None if torch computes the call, and the last is then the reason."""
    tensors, reason = admitted(input, weight, bias)
    if reason is not None:
        return tensors, None, reason
    x, w, b = tensors
    sizes = batched_size(x), size_of(w), None if b is None else size_of(b)
    return tensors, conv2d_args(*sizes, *given), "arguments"


def tracked(*tensors: Tensor | None) -> bool:
    """Whether to apply a Function: something requires grad, or forward mode or torch.func is on.

    Not while a graph is recorded, by torch.compile, export or torch.jit.trace: it holds operators,
    which apply the Functions when they run.

    Args:
        tensors: the inputs of a call; None where an optional one is missing.

    Examples:
        >>> fastconv.functional.tracked(torch.ones(2)), fastconv.functional.tracked(
        ...     torch.ones(2, requires_grad=True), None)
        (False, True)
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return recorded(*tensors) or transforming()


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """2-D convolution (cross-correlation), as :func:`torch.nn.functional.conv2d`.

    ``y[n,oc,oh,ow] = bias[oc] + sum over ic,kh,kw of weight[oc,ic,kh,kw] * x[n,ic,ih,iw]`` with
    ``ih = oh * stride + kh * dilation - padding``, ``iw`` alike, and ``x = 0`` outside the image.

    Args:
        stride: pixels from one window to the next, or (rows, columns), 1 or more.
        padding: zeros on each side, or (rows, columns); "same" for an output of the input's size,
            with stride 1; or "valid" for none.
        dilation: pixels from one place of the kernel to the next, or (rows, columns).
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC.

    Shapes:
        input: (N, IC, IH, IW) or (IC, IH, IW)
        weight: (OC, IC / groups, KH, KW)
        bias: (OC,)
        output: (N, OC, OH, OW), OH = (IH + 2 * padding - dilation * (KH - 1) - 1) // stride + 1;
            channels_last if the input or the weight is

    float32, float64, float16 and bfloat16 have kernels; sums of the last two are float32 and are
    rounded once. Other types and devices are left to torch (:func:`fastconv.fallbacks` counts
    them). Errors are those of torch.

    Raises:
        RuntimeError: shapes or types do not fit each other, or a number is out of range.
        TypeError: an argument has a wrong type.

    Examples:
        >>> x, w = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
        >>> fastconv.functional.conv2d(x, w)[0, 0, 0]
        tensor([9., 9.])
    """
    if not _compiling():
        y = eager.conv2d(input, weight, bias, stride, padding, dilation, groups)
        if y is not None:
            return y
    given, arguments = (input, weight, bias), (stride, padding, dilation, groups)
    if has_torch_function(given):
        return overridden(conv2d, given, *given, *arguments)
    (x, w, b), args, reason = checked_conv2d(*given, *arguments)
    if args is None:
        return to_torch(F.conv2d, reason, *given, *arguments)
    # The filters of this w; not those of a copy by autocast, which has another address each time.
    kept = w is weight
    if x.dim() == 3:
        return _run_conv2d(x.unsqueeze(0), w, b, args, kept).squeeze(0)
    return _run_conv2d(x, w, b, args, kept)


def _run_conv2d(x: Tensor, w: Tensor, bias: Tensor | None, args: tuple, kept: bool) -> Tensor:
    if tracked(x, w, bias):
        return Conv2d.apply(x, w, bias, args)
    return ops.conv2d(x, w, bias, *args, kept)
