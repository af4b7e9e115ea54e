"""torch.nn layers with only the computation replaced. Layer: modules, over functional.py.

Same constructors, initial values from the same seed, state_dict, repr and pickling as their
torch.nn parents.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fastconv import functional
from fastconv.core.tensors import size_of

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

    Shapes:
        input: (N, IC, IW) or (IC, IW)
        output: (N, OC, OW), OW = (IW + 2 * padding - dilation * (KW - 1) - 1) // stride + 1

    Other ``padding_mode`` than "zeros" pad by :func:`torch.nn.functional.pad` first.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = padded(self, input)
        return functional.conv1d(
            input, weight, bias, self.stride, padding, self.dilation, self.groups
        )


class Conv2d(Layer, torch.nn.Conv2d):
    """2-D convolution: :class:`torch.nn.Conv2d` with only the computation replaced.

    Shapes:
        input: (N, IC, IH, IW) or (IC, IH, IW)
        output: (N, OC, OH, OW), OH = (IH + 2 * padding - dilation * (KH - 1) - 1) // stride + 1

    Other ``padding_mode`` than "zeros" pad by :func:`torch.nn.functional.pad` first.
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


class SameSize:
    """What makes a convolution a Conv2dSame: comes before Conv2d or torch.nn.Conv2d in a class.

    ``conv2d``, the function to call, is to be set by the class.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, 1, "same", dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            amounts = self._reversed_padding_repeated_twice
            input, padding = _extended(input, amounts, self.padding_mode), 0
        return self.conv2d(input, weight, bias, 1, padding, self.dilation, self.groups)


def _extended(input: Tensor, amounts: list[int], mode: str) -> Tensor:
    """torch.nn.functional.pad by (left, right, top, bottom), however small the image.

    torch reflects, or wraps around, once only; what needs more is gathered by index.
    """
    left, right, top, bottom = amounts
    height, width = size_of(input)[-2:]
    most = {"reflect": (height - 1, width - 1), "circular": (height, width)}.get(mode)
    fits = most is None or (max(top, bottom) <= most[0] and max(left, right) <= most[1])
    if fits or 0 in (height, width):  # pixels of an empty image: torch raises its error
        return F.pad(input, amounts, mode=mode)
    rows = _positions(height, top, bottom, mode, input.device)
    columns = _positions(width, left, right, mode, input.device)
    return input.index_select(-2, rows).index_select(-1, columns)


def _positions(extent: int, before: int, after: int, mode: str, device: torch.device) -> Tensor:
    """Where pixels are taken from: 2 1 [0 1 2] 1 0 1 2 if reflected, 1 2 [0 1 2] 0 1 2 0 if not."""
    at = torch.arange(-before, extent + after, device=device)
    if mode == "circular":
        return at.remainder(extent)
    period = max(2 * (extent - 1), 1)
    at = at.remainder(period)
    return torch.minimum(at, period - at)


class Conv2dSame(SameSize, Conv2d):
    """2-D convolution with stride 1 whose output has the extents of its input.

    ``Conv2dSame(IC, OC, K, dilation, ...)`` is ``torch.nn.Conv2d(IC, OC, K, padding="same",
    dilation=dilation, ...)``: the same initial values, state_dict and results. Of the ``dilation *
    (K - 1)`` rows and columns added, an odd one is at the bottom or right. It differs where
    ``torch.nn.Conv2d`` refuses: "reflect" and "circular" go on to and fro, or round and round, in
    images smaller than their padding.

    Shapes:
        input: (N, IC, IH, IW) or (IC, IH, IW)
        output: (N, OC, IH, IW)
    """

    conv2d = staticmethod(functional.conv2d)


class MaxPool2d(Layer, torch.nn.MaxPool2d):
    """2-D max pooling: :class:`torch.nn.MaxPool2d` with only the computation replaced."""

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
    """2-D average pooling: :class:`torch.nn.AvgPool2d` with only the computation replaced."""

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
    """2-D max pooling to a size: :class:`torch.nn.AdaptiveMaxPool2d`, computation replaced."""

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return functional.adaptive_max_pool2d(
            input, self.output_size, return_indices=self.return_indices
        )


class AdaptiveAvgPool2d(Layer, torch.nn.AdaptiveAvgPool2d):
    """2-D average pooling to a size: :class:`torch.nn.AdaptiveAvgPool2d`, computation replaced."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(input, self.output_size)
