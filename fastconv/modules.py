"""torch.nn layers with only the computation replaced. Layer: modules, over functional.py.

Same constructors, initial values from the same seed, state_dict, repr and pickling as their
torch.nn parents.
"""

import torch
from torch import Tensor

from fastconv import functional


class Conv2d(torch.nn.Conv2d):
    """2-D convolution: :class:`torch.nn.Conv2d` with only the computation replaced.

    Shapes:
        input: (N, IC, IH, IW) or (IC, IH, IW)
        output: (N, OC, OH, OW), OH = (IH + 2 * padding - dilation * (KH - 1) - 1) // stride + 1

    Other ``padding_mode`` than "zeros" pad by :func:`torch.nn.functional.pad` first.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            amounts = self._reversed_padding_repeated_twice
            input = torch.nn.functional.pad(input, amounts, mode=self.padding_mode)
            padding = (0, 0)
        return functional.conv2d(
            input, weight, bias, self.stride, padding, self.dilation, self.groups
        )


class MaxPool2d(torch.nn.MaxPool2d):
    """2-D max pooling: :class:`torch.nn.MaxPool2d` with only the computation replaced."""

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


class AvgPool2d(torch.nn.AvgPool2d):
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


class AdaptiveAvgPool2d(torch.nn.AdaptiveAvgPool2d):
    """2-D average pooling to a size: :class:`torch.nn.AdaptiveAvgPool2d`, computation replaced."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(input, self.output_size)


_TWINS = {
    torch.nn.Conv2d: Conv2d,
    torch.nn.MaxPool2d: MaxPool2d,
    torch.nn.AvgPool2d: AvgPool2d,
    torch.nn.AdaptiveAvgPool2d: AdaptiveAvgPool2d,
}


def _swap(model: torch.nn.Module, classes: dict[type, type]) -> torch.nn.Module:
    for module in model.modules():
        if type(module) in classes:
            module.__class__ = classes[type(module)]
    return model


def convert(model: torch.nn.Module) -> torch.nn.Module:
    """Makes every convolution and pooling layer of `model` that fastconv has a twin of that twin,
    in place.

    Parameters, hooks, training flags and optimizers stay as they are; only exact torch.nn classes
    change, not classes derived from them. Returns `model`. :func:`fastconv.revert` undoes it.
    """
    return _swap(model, _TWINS)


def revert(model: torch.nn.Module) -> torch.nn.Module:
    """Makes every fastconv layer of `model` its torch.nn parent again, in place."""
    return _swap(model, {ours: parent for parent, ours in _TWINS.items()})
