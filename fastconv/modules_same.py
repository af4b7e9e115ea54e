"""What Conv2dSame adds to a convolution: an output of the input's size, however small the image.
Layer: modules, over core/tensors.py.
"""

import torch
from torch import Tensor

from fastconv.core.tensors import size_of

F = torch.nn.functional


class SameSize:
    """What makes a convolution a Conv2dSame: comes before Conv2d or torch.nn.Conv2d in a class.

    ``_function``, the convolution to call, is to be set by the class.
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
        return self._function(input, weight, bias, 1, padding, self.dilation, self.groups)


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
