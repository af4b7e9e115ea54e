"""Layers of transposed, 3-D and lazy convolution: torch.nn's with only the computation replaced.
Layer: modules, over functional.
"""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from fastconv import functional
from fastconv.modules import Conv1d, Conv2d, Convolution, Layer


class Conv3d(Convolution, nn.Conv3d):
    """3-D convolution: :class:`torch.nn.Conv3d` with only the computation replaced.

    :func:`fastconv.functional.conv3d` says what it costs.

    Args:
        in_channels: IC, channels of the input.
        out_channels: OC, channels of the output: the number of filters.
        kernel_size: extents of the kernel, one number for all axes or (KD, KH, KW).
        stride: pixels from one window to the next, or (depth, rows, columns), 1 or more; default
            1.
        padding: zeros on each side, or (depth, rows, columns); "same" for an output of the input's
            size, with stride 1; or "valid" for none; default 0.
        dilation: pixels from one place of the kernel to the next, or (depth, rows, columns);
            default 1.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC; default 1.
        bias: whether a learned number is added to each output channel; default True.
        padding_mode: what is put around the image: "zeros", "reflect", "replicate" or "circular";
            default "zeros".
        device: where the parameters lie, as in torch; default None.
        dtype: type of the parameters, as in torch; default None.

    Shapes:
        input: (N, IC, ID, IH, IW) or (IC, ID, IH, IW)
        weight: (OC, IC / groups, KD, KH, KW)
        bias: (OC,)
        output: (N, OC, OD, OH, OW), OD = (ID + 2 * padding - dilation * (KD - 1) - 1) // stride +
            1, OH and OW alike

    Other ``padding_mode`` than "zeros" pad by :func:`torch.nn.functional.pad` first.

    Types, devices and errors as in :func:`fastconv.functional.conv3d`; wrong arguments of the
    constructor raise torch's ``ValueError``.

    Examples:
        >>> layer = fastconv.Conv3d(3, 8, 3, padding=1)
        >>> tuple(layer(torch.ones(2, 3, 6, 6, 6)).shape)
        (2, 8, 6, 6, 6)
    """

    _function = staticmethod(functional.conv3d)


class ConvTranspose(Layer):
    """What ConvTranspose1d and ConvTranspose2d add to torch.nn's."""

    if TYPE_CHECKING:

        def __call__(self, input: Tensor, output_size: list[int] | None = None) -> Tensor: ...

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        dimensions = len(self.kernel_size)
        if self.padding_mode != "zeros":
            raise ValueError(
                f"Only `zeros` padding mode is supported for ConvTranspose{dimensions}d"
            )
        output_padding = self._output_padding(
            input, output_size, self.stride, self.padding, self.kernel_size, dimensions,
            self.dilation,
        )  # fmt: skip
        return self._function(
            input, self.weight, self.bias, self.stride, self.padding, output_padding,
            self.groups, self.dilation,
        )  # fmt: skip


class ConvTranspose1d(ConvTranspose, nn.ConvTranspose1d):
    """1-D transposed convolution: :class:`torch.nn.ConvTranspose1d`, computation replaced.

    Args:
        in_channels: IC, channels of the input.
        out_channels: OC, channels of the output: the number of filters.
        kernel_size: extents of the kernel, one number or (KW,).
        stride: pixels of the output from one input pixel to the next, 1 or more; default 1.
        padding: pixels of the output left out on each side; default 0.
        output_padding: pixels added to one side of the output, fewer than the stride or the
            dilation; default 0.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC; default 1.
        bias: whether a learned number is added to each output channel; default True.
        dilation: pixels from one place of the kernel to the next; default 1.
        padding_mode: only "zeros"; default "zeros".
        device: where the parameters lie, as in torch; default None.
        dtype: type of the parameters, as in torch; default None.

    Shapes:
        input: (N, IC, IW) or (IC, IW)
        weight: (IC, OC / groups, KW)
        bias: (OC,)
        output: (N, OC, OW), OW = (IW - 1) * stride - 2 * padding + dilation * (KW - 1) +
            output_padding + 1

    A call takes ``output_size``, too, the extents wanted, and finds the ``output_padding`` for
    them. Types, devices and errors as in :func:`fastconv.functional.conv_transpose1d`; a call
    raises ``ValueError`` for an output size that no padding gives.

    Examples:
        >>> layer = fastconv.ConvTranspose1d(8, 3, 4, stride=2, padding=1)
        >>> tuple(layer(torch.ones(2, 8, 5)).shape)
        (2, 3, 10)
    """

    _function = staticmethod(functional.conv_transpose1d)


class ConvTranspose2d(ConvTranspose, nn.ConvTranspose2d):
    """2-D transposed convolution: :class:`torch.nn.ConvTranspose2d`, computation replaced.

    Args:
        in_channels: IC, channels of the input.
        out_channels: OC, channels of the output: the number of filters.
        kernel_size: extents of the kernel, one number for all axes or (KH, KW).
        stride: pixels of the output from one input pixel to the next, or (rows, columns), 1 or
            more; default 1.
        padding: rows and columns of the output left out on each side, or (rows, columns); default
            0.
        output_padding: pixels added to one side of the output, or (rows, columns), fewer than the
            stride or the dilation; default 0.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC; default 1.
        bias: whether a learned number is added to each output channel; default True.
        dilation: pixels from one place of the kernel to the next, or (rows, columns); default 1.
        padding_mode: only "zeros"; default "zeros".
        device: where the parameters lie, as in torch; default None.
        dtype: type of the parameters, as in torch; default None.

    Shapes:
        input: (N, IC, IH, IW) or (IC, IH, IW)
        weight: (IC, OC / groups, KH, KW)
        bias: (OC,)
        output: (N, OC, OH, OW), OH = (IH - 1) * stride - 2 * padding + dilation * (KH - 1) +
            output_padding + 1, OW alike

    A call takes ``output_size``, too, the extents wanted, and finds the ``output_padding`` for
    them. Types, devices and errors as in :func:`fastconv.functional.conv_transpose2d`; a call
    raises ``ValueError`` for an output size that no padding gives.

    Examples:
        >>> layer = fastconv.ConvTranspose2d(8, 3, 4, stride=2, padding=1)
        >>> tuple(layer(torch.ones(2, 8, 5, 5)).shape)
        (2, 3, 10, 10)
    """

    _function = staticmethod(functional.conv_transpose2d)


class LazyConv1d(nn.LazyConv1d):
    """:class:`torch.nn.LazyConv1d` that becomes a :class:`fastconv.Conv1d`.

    Its first call finds the number of input channels, draws the weights and changes the class.

    Args:
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

    Shapes, types, devices and errors as in :class:`fastconv.Conv1d`.

    Examples:
        >>> layer = fastconv.LazyConv1d(8, 3)
        >>> tuple(layer(torch.ones(2, 5, 6)).shape), type(layer).__name__
        ((2, 8, 4), 'Conv1d')
    """

    cls_to_become = Conv1d


class LazyConv2d(nn.LazyConv2d):
    """:class:`torch.nn.LazyConv2d` that becomes a :class:`fastconv.Conv2d`.

    Its first call finds the number of input channels, draws the weights and changes the class.

    Args:
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

    Shapes, types, devices and errors as in :class:`fastconv.Conv2d`.

    Examples:
        >>> layer = fastconv.LazyConv2d(8, 3)
        >>> tuple(layer(torch.ones(2, 5, 6, 6)).shape), type(layer).__name__
        ((2, 8, 4, 4), 'Conv2d')
    """

    cls_to_become = Conv2d


class LazyConv3d(nn.LazyConv3d):
    """:class:`torch.nn.LazyConv3d` that becomes a :class:`fastconv.Conv3d`.

    Its first call finds the number of input channels, draws the weights and changes the class.

    Args:
        out_channels: OC, channels of the output: the number of filters.
        kernel_size: extents of the kernel, one number for all axes or (KD, KH, KW).
        stride: pixels from one window to the next, or (depth, rows, columns), 1 or more; default
            1.
        padding: zeros on each side, or (depth, rows, columns); "same" for an output of the input's
            size, with stride 1; or "valid" for none; default 0.
        dilation: pixels from one place of the kernel to the next, or (depth, rows, columns);
            default 1.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC; default 1.
        bias: whether a learned number is added to each output channel; default True.
        padding_mode: what is put around the image: "zeros", "reflect", "replicate" or "circular";
            default "zeros".
        device: where the parameters lie, as in torch; default None.
        dtype: type of the parameters, as in torch; default None.

    Shapes, types, devices and errors as in :class:`fastconv.Conv3d`.

    Examples:
        >>> layer = fastconv.LazyConv3d(8, 3)
        >>> tuple(layer(torch.ones(2, 5, 6, 6, 6)).shape), type(layer).__name__
        ((2, 8, 4, 4, 4), 'Conv3d')
    """

    cls_to_become = Conv3d


class LazyConvTranspose1d(nn.LazyConvTranspose1d):
    """:class:`torch.nn.LazyConvTranspose1d` that becomes a :class:`fastconv.ConvTranspose1d`.

    Its first call finds the number of input channels, draws the weights and changes the class.

    Args:
        out_channels: OC, channels of the output: the number of filters.
        kernel_size: extents of the kernel, one number or (KW,).
        stride: pixels of the output from one input pixel to the next, 1 or more; default 1.
        padding: pixels of the output left out on each side; default 0.
        output_padding: pixels added to one side of the output, fewer than the stride or the
            dilation; default 0.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC; default 1.
        bias: whether a learned number is added to each output channel; default True.
        dilation: pixels from one place of the kernel to the next; default 1.
        padding_mode: only "zeros"; default "zeros".
        device: where the parameters lie, as in torch; default None.
        dtype: type of the parameters, as in torch; default None.

    Shapes, types, devices and errors as in :class:`fastconv.ConvTranspose1d`.

    Examples:
        >>> layer = fastconv.LazyConvTranspose1d(8, 3)
        >>> tuple(layer(torch.ones(2, 5, 6)).shape), type(layer).__name__
        ((2, 8, 8), 'ConvTranspose1d')
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(nn.LazyConvTranspose2d):
    """:class:`torch.nn.LazyConvTranspose2d` that becomes a :class:`fastconv.ConvTranspose2d`.

    Its first call finds the number of input channels, draws the weights and changes the class.

    Args:
        out_channels: OC, channels of the output: the number of filters.
        kernel_size: extents of the kernel, one number for all axes or (KH, KW).
        stride: pixels of the output from one input pixel to the next, or (rows, columns), 1 or
            more; default 1.
        padding: rows and columns of the output left out on each side, or (rows, columns); default
            0.
        output_padding: pixels added to one side of the output, or (rows, columns), fewer than the
            stride or the dilation; default 0.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC; default 1.
        bias: whether a learned number is added to each output channel; default True.
        dilation: pixels from one place of the kernel to the next, or (rows, columns); default 1.
        padding_mode: only "zeros"; default "zeros".
        device: where the parameters lie, as in torch; default None.
        dtype: type of the parameters, as in torch; default None.

    Shapes, types, devices and errors as in :class:`fastconv.ConvTranspose2d`.

    Examples:
        >>> layer = fastconv.LazyConvTranspose2d(8, 3)
        >>> tuple(layer(torch.ones(2, 5, 6, 6)).shape), type(layer).__name__
        ((2, 8, 8, 8), 'ConvTranspose2d')
    """

    cls_to_become = ConvTranspose2d
