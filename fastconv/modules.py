"""torch.nn layers with only the computation replaced. Layer: modules, over functional.py.

Same constructors, initial values from the same seed, state_dict, repr and pickling as their
torch.nn parents.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fastconv import functional
from fastconv.modules_same import SameSize

F = torch.nn.functional


class Layer:
    """What all layers share."""

    if TYPE_CHECKING:  # of torch.nn.Module it says Any

        def __call__(self, input: Tensor) -> Tensor: ...

    def __prepare_scriptable__(self) -> torch.nn.Module:
        raise NotImplementedError(
            f"torch.jit.script cannot compile fastconv.{type(self).__name__}: script "
            "fastconv.revert(model), which has torch.nn's layers with the same parameters, "
            "or use torch.jit.trace or torch.export"
        )


class Conv1d(Layer, torch.nn.Conv1d):
    """1-D convolution: :class:`torch.nn.Conv1d` with only the computation replaced.

    Args:
        in_channels: IC, channels of the input.
        out_channels: OC, channels of the output: the number of filters.
        kernel_size: extents of the kernel, one number or (KW,).
        stride: pixels from one window to the next, 1 or more; default 1.
        padding: zeros on each side; "same" for an output of the input's size, with stride 1; or
            "valid" for none; default 0.
        dilation: pixels from one place of the kernel to the next; default 1.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC; default 1.
        bias: whether a learned number is added to each output channel; default True.
        padding_mode: what is put around the image: "zeros", "reflect", "replicate" or "circular";
            default "zeros".
        device: where the parameters lie, as in torch; default None.
        dtype: type of the parameters, as in torch; default None.

    Shapes:
        input: (N, IC, IW) or (IC, IW)
        weight: (OC, IC / groups, KW)
        bias: (OC,)
        output: (N, OC, OW), OW = (IW + 2 * padding - dilation * (KW - 1) - 1) // stride + 1

    Other ``padding_mode`` than "zeros" pad by :func:`torch.nn.functional.pad` first.

    Types, devices and errors as in :func:`fastconv.functional.conv1d`; wrong arguments of the
    constructor raise torch's ``ValueError``.

    Examples:
        >>> layer = fastconv.Conv1d(3, 8, 3, padding=1)
        >>> tuple(layer(torch.ones(2, 3, 6)).shape)
        (2, 8, 6)
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = padded(self, input)
        return functional.conv1d(
            input, weight, bias, self.stride, padding, self.dilation, self.groups
        )


class Conv2d(Layer, torch.nn.Conv2d):
    """2-D convolution: :class:`torch.nn.Conv2d` with only the computation replaced.

    Args:
        in_channels: IC, channels of the input.
        out_channels: OC, channels of the output: the number of filters.
        kernel_size: extents of the kernel, one number for all axes or (KH, KW).
        stride: pixels from one window to the next, or (rows, columns), 1 or more; default 1.
        padding: zeros on each side, or (rows, columns); "same" for an output of the input's size,
            with stride 1; or "valid" for none; default 0.
        dilation: pixels from one place of the kernel to the next, or (rows, columns); default 1.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC; default 1.
        bias: whether a learned number is added to each output channel; default True.
        padding_mode: what is put around the image: "zeros", "reflect", "replicate" or "circular";
            default "zeros".
        device: where the parameters lie, as in torch; default None.
        dtype: type of the parameters, as in torch; default None.

    Shapes:
        input: (N, IC, IH, IW) or (IC, IH, IW)
        weight: (OC, IC / groups, KH, KW)
        bias: (OC,)
        output: (N, OC, OH, OW), OH = (IH + 2 * padding - dilation * (KH - 1) - 1) // stride + 1,
            OW alike

    Other ``padding_mode`` than "zeros" pad by :func:`torch.nn.functional.pad` first.

    Types, devices and errors as in :func:`fastconv.functional.conv2d`; wrong arguments of the
    constructor raise torch's ``ValueError``.

    Examples:
        >>> layer = fastconv.Conv2d(3, 8, 3, padding=1)
        >>> tuple(layer(torch.ones(2, 3, 6, 6)).shape)
        (2, 8, 6, 6)
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = padded(self, input)
        return functional.conv2d(
            input, weight, bias, self.stride, padding, self.dilation, self.groups
        )


def padded(conv: torch.nn.Module, input: Tensor) -> tuple[Tensor, int | str | tuple[int, ...]]:
    """The input of a convolution layer and the zeros that remain to be put around it."""
    if conv.padding_mode == "zeros":
        return input, conv.padding
    return F.pad(input, conv._reversed_padding_repeated_twice, mode=conv.padding_mode), 0


class Conv2dSame(SameSize, Conv2d):
    """2-D convolution with stride 1 whose output has the extents of its input.

    ``Conv2dSame(IC, OC, K, dilation, ...)`` is ``torch.nn.Conv2d(IC, OC, K, padding="same",
    dilation=dilation, ...)``: the same initial values, state_dict and results. Of the ``dilation *
    (K - 1)`` rows and columns added, an odd one is at the bottom or right. It differs where
    ``torch.nn.Conv2d`` refuses: "reflect" and "circular" go on to and fro, or round and round, in
    images smaller than their padding.

    Args:
        in_channels: IC, channels of the input.
        out_channels: OC, channels of the output: the number of filters.
        kernel_size: extents of the kernel, one number for all axes or (KH, KW).
        dilation: pixels from one place of the kernel to the next, or (rows, columns); default 1.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC; default 1.
        bias: whether a learned number is added to each output channel; default True.
        padding_mode: what is put around the image: "zeros", "reflect", "replicate" or "circular";
            default "zeros".
        device: where the parameters lie, as in torch; default None.
        dtype: type of the parameters, as in torch; default None.

    Shapes:
        input: (N, IC, IH, IW) or (IC, IH, IW)
        weight: (OC, IC / groups, KH, KW)
        bias: (OC,)
        output: (N, OC, IH, IW)

    Types, devices and errors as in :class:`fastconv.Conv2d`.

    Examples:
        >>> layer = fastconv.Conv2dSame(3, 8, 4)
        >>> tuple(layer(torch.ones(2, 3, 6, 6)).shape)
        (2, 8, 6, 6)
    """

    conv2d = staticmethod(functional.conv2d)


class MaxPool2d(Layer, torch.nn.MaxPool2d):
    """2-D max pooling: :class:`torch.nn.MaxPool2d` with only the computation replaced.

    Args:
        kernel_size: extents of the window, one number for all axes or (KH, KW).
        stride: pixels from one window to the next, or (rows, columns); None for the window's
            extents; default None.
        padding: border on each side, or (rows, columns), at most half the window; it is never the
            maximum; default 0.
        dilation: pixels from one place of the window to the next, or (rows, columns); default 1.
        return_indices: whether to return the places of the maxima, too; default False.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts; default False.

    Shapes:
        input: (N, C, IH, IW) or (C, IH, IW)
        output: (N, C, OH, OW), OH = (IH + 2 * padding - dilation * (KH - 1) - 1) / stride + 1,
            rounded down, or up with ceil_mode, OW alike
        indices: int64, the same

    Ties, NaN, types, devices and errors as in :func:`fastconv.functional.max_pool2d`.

    Examples:
        >>> pool = fastconv.MaxPool2d(2)
        >>> tuple(pool(torch.ones(2, 3, 6, 6)).shape)
        (2, 3, 3, 3)
    """

    if TYPE_CHECKING:  # a Tensor, or two with return_indices

        def __call__(self, input: Tensor) -> Any: ...

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return functional.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class AvgPool2d(Layer, torch.nn.AvgPool2d):
    """2-D average pooling: :class:`torch.nn.AvgPool2d` with only the computation replaced.

    Args:
        kernel_size: extents of the window, one number for all axes or (KH, KW).
        stride: pixels from one window to the next, or (rows, columns); None for the window's
            extents; default None.
        padding: zeros on each side, or (rows, columns), at most half the window; default 0.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts; default False.
        count_include_pad: whether zeros of the padding count in the divisor; default True.
        divisor_override: the divisor, None for the number of elements; default None.

    Shapes:
        input: (N, C, IH, IW) or (C, IH, IW)
        output: (N, C, OH, OW), OH = (IH + 2 * padding - KH) / stride + 1, rounded down, or up with
            ceil_mode, OW alike

    Types, devices and errors as in :func:`fastconv.functional.avg_pool2d`.

    Examples:
        >>> pool = fastconv.AvgPool2d(2)
        >>> tuple(pool(torch.ones(2, 3, 6, 6)).shape)
        (2, 3, 3, 3)
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AdaptiveMaxPool2d(Layer, torch.nn.AdaptiveMaxPool2d):
    """2-D max pooling to a size: :class:`torch.nn.AdaptiveMaxPool2d`, computation replaced.

    Args:
        output_size: extents of the output, one number for both axes or (OH, OW); None in the place
            of an extent keeps the input's.
        return_indices: whether to return the places of the maxima, too; default False.

    Shapes:
        input: (N, C, IH, IW) or (C, IH, IW)
        output, indices: (N, C, OH, OW)

    Windows, types, devices and errors as in :func:`fastconv.functional.adaptive_max_pool2d`.

    Examples:
        >>> pool = fastconv.AdaptiveMaxPool2d(2)
        >>> tuple(pool(torch.ones(2, 3, 6, 6)).shape)
        (2, 3, 2, 2)
    """

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return functional.adaptive_max_pool2d(
            input, self.output_size, return_indices=self.return_indices
        )


class AdaptiveAvgPool2d(Layer, torch.nn.AdaptiveAvgPool2d):
    """2-D average pooling to a size: :class:`torch.nn.AdaptiveAvgPool2d`, computation replaced.

    Args:
        output_size: extents of the output, one number for both axes or (OH, OW); None in the place
            of an extent keeps the input's.

    Shapes:
        input: (N, C, IH, IW) or (C, IH, IW)
        output: (N, C, OH, OW)

    Windows, types, devices and errors as in :func:`fastconv.functional.adaptive_avg_pool2d`.

    Examples:
        >>> pool = fastconv.AdaptiveAvgPool2d(2)
        >>> tuple(pool(torch.ones(2, 3, 6, 6)).shape)
        (2, 3, 2, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(input, self.output_size)
