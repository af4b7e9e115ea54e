"""Layers of transposed, 3-D and lazy convolution: torch.nn's with only the computation replaced.
Layer: modules, over functional.
"""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from fastconv import functional
from fastconv.modules import Conv1d, Conv2d, Layer, padded


class Conv3d(Layer, nn.Conv3d):
    """3-D convolution: :class:`torch.nn.Conv3d` with only the computation replaced.

    Shapes:
        input: (N, IC, ID, IH, IW) or (IC, ID, IH, IW); output: (N, OC, OD, OH, OW)

    :func:`fastconv.functional.conv3d` says what it costs.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = padded(self, input)
        return functional.conv3d(
            input, weight, bias, self.stride, padding, self.dilation, self.groups
        )


def _transposed(layer, input: Tensor, output_size: list[int] | None, function) -> Tensor:
    if layer.padding_mode != "zeros":
        raise ValueError(
            f"Only `zeros` padding mode is supported for {type(layer).__base__.__name__}"
        )
    output_padding = layer._output_padding(
        input, output_size, layer.stride, layer.padding, layer.kernel_size,
        len(layer.kernel_size), layer.dilation,
    )  # fmt: skip
    return function(
        input, layer.weight, layer.bias, layer.stride, layer.padding, output_padding,
        layer.groups, layer.dilation,
    )  # fmt: skip


class ConvTranspose1d(Layer, nn.ConvTranspose1d):
    """1-D transposed convolution: :class:`torch.nn.ConvTranspose1d`, computation replaced.

    Shapes:
        input: (N, IC, IW) or (IC, IW); output: (N, OC, OW) as in
        :func:`fastconv.functional.conv_transpose1d`
    """

    if TYPE_CHECKING:

        def __call__(self, input: Tensor, output_size: list[int] | None = None) -> Tensor: ...

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        return _transposed(self, input, output_size, functional.conv_transpose1d)


class ConvTranspose2d(Layer, nn.ConvTranspose2d):
    """2-D transposed convolution: :class:`torch.nn.ConvTranspose2d`, computation replaced.

    Shapes:
        input: (N, IC, IH, IW) or (IC, IH, IW); output: (N, OC, OH, OW) as in
        :func:`fastconv.functional.conv_transpose2d`
    """

    if TYPE_CHECKING:

        def __call__(self, input: Tensor, output_size: list[int] | None = None) -> Tensor: ...

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        return _transposed(self, input, output_size, functional.conv_transpose2d)


class LazyConv1d(nn.LazyConv1d):
    """:class:`torch.nn.LazyConv1d` that becomes a :class:`fastconv.Conv1d`."""

    cls_to_become = Conv1d


class LazyConv2d(nn.LazyConv2d):
    """:class:`torch.nn.LazyConv2d` that becomes a :class:`fastconv.Conv2d`."""

    cls_to_become = Conv2d


class LazyConv3d(nn.LazyConv3d):
    """:class:`torch.nn.LazyConv3d` that becomes a :class:`fastconv.Conv3d`."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(nn.LazyConvTranspose1d):
    """:class:`torch.nn.LazyConvTranspose1d` that becomes a :class:`fastconv.ConvTranspose1d`."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(nn.LazyConvTranspose2d):
    """:class:`torch.nn.LazyConvTranspose2d` that becomes a :class:`fastconv.ConvTranspose2d`."""

    cls_to_become = ConvTranspose2d
