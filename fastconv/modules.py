"""torch.nn layers with only the computation replaced. Layer: modules, over functional.py.

Same constructors, initial values from the same seed, state_dict, repr and pickling as their
torch.nn parents.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fastconv import functional
from fastconv.modules_same import SameSize

F = torch.nn.functional
Pooled = Tensor | tuple[Tensor, Tensor]


class Layer:
    """What all layers share. A layer names its function of fastconv.functional."""

    _function: Callable[..., Any]

    if TYPE_CHECKING:  # of torch.nn.Module it says Any

        def __call__(self, input: Tensor) -> Tensor: ...

    def __prepare_scriptable__(self) -> torch.nn.Module:
        raise NotImplementedError(
            f"torch.jit.script cannot compile fastconv.{type(self).__name__}: script "
            "fastconv.revert(model), which has torch.nn's layers with the same parameters, "
            "or use torch.jit.trace or torch.export"
        )


class Convolution(Layer):
    """What Conv1d, Conv2d and Conv3d add to torch.nn's."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            amounts, padding = self._reversed_padding_repeated_twice, 0
            input = F.pad(input, amounts, mode=self.padding_mode)
        return self._function(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class MaxPool(Layer):
    """What MaxPool1d, MaxPool2d and MaxPool3d add to torch.nn's."""

    if TYPE_CHECKING:  # a Tensor, or two with return_indices

        def __call__(self, input: Tensor) -> Any: ...

    def forward(self, input: Tensor) -> Pooled:
        return self._function(
            input, self.kernel_size, self.stride, self.padding, self.dilation,
            ceil_mode=self.ceil_mode, return_indices=self.return_indices,
        )  # fmt: skip


class AvgPool(Layer):
    """What AvgPool2d and AvgPool3d add to torch.nn's."""

    def forward(self, input: Tensor) -> Tensor:
        return self._function(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip


class AdaptiveMaxPool(Layer):
    """What AdaptiveMaxPool1d and AdaptiveMaxPool2d add to torch.nn's."""

    if TYPE_CHECKING:  # a Tensor, or two with return_indices

        def __call__(self, input: Tensor) -> Any: ...

    def forward(self, input: Tensor) -> Pooled:
        return self._function(input, self.output_size, return_indices=self.return_indices)


class AdaptiveAvgPool(Layer):
    """What AdaptiveAvgPool1d, AdaptiveAvgPool2d and AdaptiveAvgPool3d add to torch.nn's."""

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.output_size)


class Conv1d(Convolution, torch.nn.Conv1d):
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

    _function = staticmethod(functional.conv1d)


class Conv2d(Convolution, torch.nn.Conv2d):
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

    _function = staticmethod(functional.conv2d)


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

    _function = staticmethod(functional.conv2d)


class MaxPool2d(MaxPool, torch.nn.MaxPool2d):
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

    _function = staticmethod(functional.max_pool2d)


class AvgPool2d(AvgPool, torch.nn.AvgPool2d):
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

    _function = staticmethod(functional.avg_pool2d)


class AdaptiveMaxPool2d(AdaptiveMaxPool, torch.nn.AdaptiveMaxPool2d):
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

    _function = staticmethod(functional.adaptive_max_pool2d)


class AdaptiveAvgPool2d(AdaptiveAvgPool, torch.nn.AdaptiveAvgPool2d):
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

    _function = staticmethod(functional.adaptive_avg_pool2d)
