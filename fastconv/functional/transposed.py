"""Transposed convolution with the signatures of torch.nn.functional: the gradient of a convolution
with respect to its input, for which the kernels have backward_input. Layer: functional, over
dim2.py and core/autograd.py.

``y = backward_input(grad_y=x, w)``: the input of the transposed convolution is the output of a
convolution of the same weight, and its output is that convolution's input.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from fastconv.core import ops
from fastconv.core.arguments import batched_size, below, conv2d_args, pair
from fastconv.core.autograd import Conv2dBackwardInput
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden
from fastconv.core.tensors import is_channels_last, size_of
from fastconv.functional.dim1 import IntOrSingle, single
from fastconv.functional.dim2 import IntOrPair, admitted, tracked


def _arguments(x: Tensor, w: Tensor, bias: Tensor | None, *given: object) -> tuple | None:
    """(extents by which x grows, y_size, arguments of the convolution); None if torch decides."""
    stride, padding, output_padding, groups, dilation = given
    stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
    more, x_size, w_size = pair(output_padding), batched_size(x), size_of(w)
    if len(x_size) != 4 or len(w_size) != 4 or None in (stride, padding, dilation, more):
        return None
    if below(1, *stride, *dilation, *x_size[1:]) or below(0, *padding, *more):
        return None
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        return None
    if type(groups) is not int or w_size[0] != x_size[1]:
        return None
    y_size = [x_size[0], w_size[1] * groups]
    for axis in (0, 1):
        last = (x_size[2 + axis] - 1) * stride[axis] + dilation[axis] * (w_size[2 + axis] - 1)
        y_size.append(last + 1 - 2 * padding[axis] + more[axis])
    if bias is not None and tuple(bias.shape) != (y_size[1],):
        return None
    args = conv2d_args(y_size, w_size, None, stride, padding, dilation, groups)
    grown = tuple(m // s for m, s in zip(more, stride, strict=True))
    return None if args is None else (grown, tuple(y_size), args)


def _run(x: Tensor, w: Tensor, bias: Tensor | None, grown: tuple, y_size: tuple, args: tuple):
    last = is_channels_last(x) or is_channels_last(w)
    if any(grown):  # output_padding of a stride or more: outputs that further zeros would reach
        x = F.pad(x, (0, grown[1], 0, grown[0]))
    if tracked(x, w, bias):
        y = Conv2dBackwardInput.apply(x, w, y_size, args, last)
        return y if bias is None else y + bias[:, None, None]
    y = ops.conv2d_backward_input(x, w, y_size, *args, last)
    return y if bias is None else y.add_(bias[:, None, None])


def _conv_transpose(
    ours: Callable, given: tuple, arguments: tuple, of_rows: tuple | None = None
) -> Tensor:
    """given: input, weight and bias; of_rows: if the input has rows, the arguments that rows as
    images of height 1 have."""
    if has_torch_function(given):
        return overridden(ours, given, *given, *arguments)
    (x, w, bias), reason = admitted(*given)
    if reason is None and torch.jit.is_tracing():  # the graph would hold extents as constants
        reason = "tracing"
    if reason is None and of_rows and (x.dim() not in (2, 3) or w.dim() != 3):
        reason = "arguments"
    found = None
    if reason is None:
        if of_rows:
            x, w = x.unsqueeze(-2), w.unsqueeze(-2)
        found, reason = _arguments(x, w, bias, *(of_rows or arguments)), "arguments"
    if found is None:
        return to_torch(getattr(F, ours.__name__), reason, *given, *arguments)
    y = _run(x.unsqueeze(0) if x.dim() == 3 else x, w, bias, *found)
    y = y.squeeze(0) if x.dim() == 3 else y
    return y.squeeze(-2).contiguous() if of_rows else y


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> Tensor:
    """2-D transposed convolution, as :func:`torch.nn.functional.conv_transpose2d`.

    ``y[n,oc,oh,ow] = bias[oc] + sum over ic,ih,iw,kh,kw of weight[ic,oc,kh,kw] * x[n,ic,ih,iw]``,
    over ``oh = ih * stride + kh * dilation - padding``, ``ow`` alike.

    Args:
        stride: pixels of the output from one input pixel to the next, or (rows, columns), 1 or
            more.
        padding: rows and columns of the output left out on each side, or (rows, columns).
        output_padding: pixels added to one side of the output, or (rows, columns), fewer than the
            stride or the dilation.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC.
        dilation: pixels from one place of the kernel to the next, or (rows, columns).

    Shapes:
        input: (N, IC, IH, IW) or (IC, IH, IW)
        weight: (IC, OC / groups, KH, KW)
        bias: (OC,)
        output: (N, OC, OH, OW), OH = (IH - 1) * stride - 2 * padding + dilation * (KH - 1)
            + output_padding + 1; channels_last if the input or the weight is

    Types, devices and errors as in :func:`fastconv.functional.conv2d`. torch.jit.trace records
    torch's function.

    Examples:
        >>> x, w = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
        >>> fastconv.functional.conv_transpose2d(x, w, stride=2)[0, 0, 0]
        tensor([1., 1., 1., 1.])
    """
    arguments = (stride, padding, output_padding, groups, dilation)
    return _conv_transpose(conv_transpose2d, (input, weight, bias), arguments)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrSingle = 1,
    padding: IntOrSingle = 0,
    output_padding: IntOrSingle = 0,
    groups: int = 1,
    dilation: IntOrSingle = 1,
) -> Tensor:
    """1-D transposed convolution, as :func:`torch.nn.functional.conv_transpose1d`.

    Args:
        stride: pixels of the output from one input pixel to the next, 1 or more.
        padding: pixels of the output left out on each side.
        output_padding: pixels added to one side of the output, fewer than the stride or the
            dilation.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC.
        dilation: pixels from one place of the kernel to the next.

    Shapes:
        input: (N, IC, IW) or (IC, IW)
        weight: (IC, OC / groups, KW)
        bias: (OC,)
        output: (N, OC, OW), OW as OH in :func:`fastconv.functional.conv_transpose2d`; contiguous

    Types, devices and errors as in :func:`fastconv.functional.conv2d`. torch.jit.trace records
    torch's function.

    Examples:
        >>> x, w = torch.ones(1, 1, 2), torch.ones(1, 1, 2)
        >>> fastconv.functional.conv_transpose1d(x, w, stride=2)[0, 0]
        tensor([1., 1., 1., 1.])
    """
    arguments = (stride, padding, output_padding, groups, dilation)
    of_rows = ((1, single(stride)), (0, single(padding)), (0, single(output_padding)), groups,
               (1, single(dilation)))  # fmt: skip
    return _conv_transpose(conv_transpose1d, (input, weight, bias), arguments, of_rows)
