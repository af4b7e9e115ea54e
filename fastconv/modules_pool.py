"""Pooling layers of rows and volumes, and power averages: torch.nn's with only the computation
replaced. Layer: modules, over functional.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from fastconv import functional
from fastconv.modules import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, Layer, MaxPool


class MaxPool1d(MaxPool, nn.MaxPool1d):
    """1-D max pooling: :class:`torch.nn.MaxPool1d` with only the computation replaced.

    Args:
        kernel_size: extents of the window, one number or (KW,).
        stride: pixels from one window to the next; None for the window's extents; default None.
        padding: border on each side, at most half the window; it is never the maximum; default 0.
        dilation: pixels from one place of the window to the next; default 1.
        return_indices: whether to return the places of the maxima, too; default False.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts; default False.

    Shapes:
        input: (N, C, IW) or (C, IW)
        output: (N, C, OW), OW = (IW + 2 * padding - dilation * (KW - 1) - 1) / stride + 1, rounded
            down, or up with ceil_mode
        indices: int64, the same

    Ties, NaN, types, devices and errors as in :func:`fastconv.functional.max_pool1d`.

    Examples:
        >>> pool = fastconv.MaxPool1d(2)
        >>> tuple(pool(torch.ones(2, 3, 6)).shape)
        (2, 3, 3)
    """

    _function = staticmethod(functional.max_pool1d)


class MaxPool3d(MaxPool, nn.MaxPool3d):
    """3-D max pooling: :class:`torch.nn.MaxPool3d` with only the computation replaced.

    Args:
        kernel_size: extents of the window, one number for all axes or (KD, KH, KW).
        stride: pixels from one window to the next, or (depth, rows, columns); None for the
            window's extents; default None.
        padding: border on each side, or (depth, rows, columns), at most half the window; it is
            never the maximum; default 0.
        dilation: pixels from one place of the window to the next, or (depth, rows, columns);
            default 1.
        return_indices: whether to return the places of the maxima, too; default False.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts; default False.

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output: (N, C, OD, OH, OW), OD = (ID + 2 * padding - dilation * (KD - 1) - 1) / stride + 1,
            rounded down, or up with ceil_mode, OH and OW alike
        indices: int64, the same

    Ties, NaN, types, devices and errors as in :func:`fastconv.functional.max_pool3d`.

    Examples:
        >>> pool = fastconv.MaxPool3d(2)
        >>> tuple(pool(torch.ones(2, 3, 6, 6, 6)).shape)
        (2, 3, 3, 3, 3)
    """

    _function = staticmethod(functional.max_pool3d)


class AvgPool1d(Layer, nn.AvgPool1d):
    """1-D average pooling: :class:`torch.nn.AvgPool1d` with only the computation replaced.

    Args:
        kernel_size: extents of the window, one number or (KW,).
        stride: pixels from one window to the next; None for the window's extents; default None.
        padding: zeros on each side, at most half the window; default 0.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts; default False.
        count_include_pad: whether zeros of the padding count in the divisor; default True.

    Shapes:
        input: (N, C, IW) or (C, IW)
        output: (N, C, OW), OW = (IW + 2 * padding - KW) / stride + 1, rounded down, or up with
            ceil_mode

    Types, devices and errors as in :func:`fastconv.functional.avg_pool1d`.

    Examples:
        >>> pool = fastconv.AvgPool1d(2)
        >>> tuple(pool(torch.ones(2, 3, 6)).shape)
        (2, 3, 3)
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip


class AvgPool3d(AvgPool, nn.AvgPool3d):
    """3-D average pooling: :class:`torch.nn.AvgPool3d` with only the computation replaced.

    Args:
        kernel_size: extents of the window, one number for all axes or (KD, KH, KW).
        stride: pixels from one window to the next, or (depth, rows, columns); None for the
            window's extents; default None.
        padding: zeros on each side, or (depth, rows, columns), at most half the window; default 0.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts; default False.
        count_include_pad: whether zeros of the padding count in the divisor; default True.
        divisor_override: the divisor, None for the number of elements; default None.

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output: (N, C, OD, OH, OW), OD = (ID + 2 * padding - KD) / stride + 1, rounded down, or up
            with ceil_mode, OH and OW alike

    Types, devices and errors as in :func:`fastconv.functional.avg_pool3d`.

    Examples:
        >>> pool = fastconv.AvgPool3d(2)
        >>> tuple(pool(torch.ones(2, 3, 6, 6, 6)).shape)
        (2, 3, 3, 3, 3)
    """

    _function = staticmethod(functional.avg_pool3d)


class AdaptiveAvgPool1d(AdaptiveAvgPool, nn.AdaptiveAvgPool1d):
    """1-D average pooling to a size: :class:`torch.nn.AdaptiveAvgPool1d`, computation replaced.

    Args:
        output_size: extents of the output, OW or (OW,).

    Shapes:
        input: (N, C, IW) or (C, IW)
        output: (N, C, OW)

    Windows, types, devices and errors as in :func:`fastconv.functional.adaptive_avg_pool1d`.

    Examples:
        >>> pool = fastconv.AdaptiveAvgPool1d(2)
        >>> tuple(pool(torch.ones(2, 3, 6)).shape)
        (2, 3, 2)
    """

    _function = staticmethod(functional.adaptive_avg_pool1d)


class AdaptiveAvgPool3d(AdaptiveAvgPool, nn.AdaptiveAvgPool3d):
    """3-D average pooling to a size: :class:`torch.nn.AdaptiveAvgPool3d`, computation replaced.

    Args:
        output_size: extents of the output, one number for all axes or (OD, OH, OW); None in the
            place of an extent keeps the input's.

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output: (N, C, OD, OH, OW)

    Windows, types, devices and errors as in :func:`fastconv.functional.adaptive_avg_pool3d`.

    Examples:
        >>> pool = fastconv.AdaptiveAvgPool3d(2)
        >>> tuple(pool(torch.ones(2, 3, 6, 6, 6)).shape)
        (2, 3, 2, 2, 2)
    """

    _function = staticmethod(functional.adaptive_avg_pool3d)


class AdaptiveMaxPool1d(AdaptiveMaxPool, nn.AdaptiveMaxPool1d):
    """1-D max pooling to a size: :class:`torch.nn.AdaptiveMaxPool1d`, computation replaced where
    the output's extent divides the input's.

    Args:
        output_size: extents of the output, OW or (OW,).
        return_indices: whether to return the places of the maxima, too; default False.

    Shapes:
        input: (N, C, IW) or (C, IW)
        output, indices: (N, C, OW)

    Windows, types, devices and errors as in :func:`fastconv.functional.adaptive_max_pool1d`.

    Examples:
        >>> pool = fastconv.AdaptiveMaxPool1d(2)
        >>> tuple(pool(torch.ones(2, 3, 6)).shape)
        (2, 3, 2)
    """

    _function = staticmethod(functional.adaptive_max_pool1d)


class LPPool(Layer):
    """What LPPool1d, LPPool2d and LPPool3d add to torch.nn's."""

    def forward(self, input: Tensor) -> Tensor:
        return self._function(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )


class LPPool1d(LPPool, nn.LPPool1d):
    """1-D power averages: :class:`torch.nn.LPPool1d` with only the computation replaced.

    Args:
        norm_type: the power p; infinity for the maximum of ``|x|``.
        kernel_size: extents of the window, one number or (KW,).
        stride: pixels from one window to the next; None for the window's extents; default None.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts; default False.

    Shapes:
        input: (N, C, IW) or (C, IW)
        output: (N, C, OW), OW = (IW - KW) / stride + 1, rounded down, or up with ceil_mode

    Types, devices and errors as in :func:`fastconv.functional.lp_pool1d`.

    Examples:
        >>> pool = fastconv.LPPool1d(2, 2)
        >>> tuple(pool(torch.ones(2, 3, 6)).shape)
        (2, 3, 3)
    """

    _function = staticmethod(functional.lp_pool1d)


class LPPool2d(LPPool, nn.LPPool2d):
    """2-D power averages: :class:`torch.nn.LPPool2d` with only the computation replaced.

    Args:
        norm_type: the power p; infinity for the maximum of ``|x|``.
        kernel_size: extents of the window, one number for all axes or (KH, KW).
        stride: pixels from one window to the next, or (rows, columns); None for the window's
            extents; default None.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts; default False.

    Shapes:
        input: (N, C, IH, IW) or (C, IH, IW)
        output: (N, C, OH, OW), OH = (IH - KH) / stride + 1, rounded down, or up with ceil_mode, OW
            alike

    Types, devices and errors as in :func:`fastconv.functional.lp_pool2d`.

    Examples:
        >>> pool = fastconv.LPPool2d(2, 2)
        >>> tuple(pool(torch.ones(2, 3, 6, 6)).shape)
        (2, 3, 3, 3)
    """

    _function = staticmethod(functional.lp_pool2d)


class LPPool3d(LPPool, nn.LPPool3d):
    """3-D power averages: :class:`torch.nn.LPPool3d` with only the computation replaced.

    Args:
        norm_type: the power p; infinity for the maximum of ``|x|``.
        kernel_size: extents of the window, one number for all axes or (KD, KH, KW).
        stride: pixels from one window to the next, or (depth, rows, columns); None for the
            window's extents; default None.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts; default False.

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output: (N, C, OD, OH, OW), OD = (ID - KD) / stride + 1, rounded down, or up with
            ceil_mode, OH and OW alike

    Types, devices and errors as in :func:`fastconv.functional.lp_pool3d`.

    Examples:
        >>> pool = fastconv.LPPool3d(2, 2)
        >>> tuple(pool(torch.ones(2, 3, 6, 6, 6)).shape)
        (2, 3, 3, 3, 3)
    """

    _function = staticmethod(functional.lp_pool3d)


class MaxUnpool(Layer):
    """What MaxUnpool1d, MaxUnpool2d and MaxUnpool3d add to torch.nn's."""

    if TYPE_CHECKING:

        def __call__(
            self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
        ) -> Tensor: ...

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        windows = (self.kernel_size, self.stride, self.padding)
        return self._function(input, indices, *windows, output_size)


class MaxUnpool1d(MaxUnpool, nn.MaxUnpool1d):
    """The inverse of MaxPool1d: :class:`torch.nn.MaxUnpool1d` with only the computation replaced.

    Args:
        kernel_size: extents of the window, one number or (KW,).
        stride: pixels from one window to the next; None for the
            window's extents; default None.
        padding: border on each side, of the pooling; default 0.

    Shapes:
        input, indices: (N, C, IW) or (C, IW)
        output: (N, C, OW), OW = (IW - 1) * stride - 2 * padding + KW

    ``forward`` also takes ``output_size``, for a pooling that left pixels over.

    Equal indices, types, devices and errors as in :func:`fastconv.functional.max_unpool1d`.

    Examples:
        >>> pool = fastconv.MaxPool1d(2, return_indices=True)
        >>> y, indices = pool(torch.ones(2, 3, 6))
        >>> tuple(fastconv.MaxUnpool1d(2)(y, indices).shape)
        (2, 3, 6)
    """

    _function = staticmethod(functional.max_unpool1d)


class MaxUnpool2d(MaxUnpool, nn.MaxUnpool2d):
    """The inverse of MaxPool2d: :class:`torch.nn.MaxUnpool2d` with only the computation replaced.

    Args:
        kernel_size: extents of the window, one number for all axes or (KH, KW).
        stride: pixels from one window to the next, or (rows, columns); None for the
            window's extents; default None.
        padding: border on each side, or (rows, columns), of the pooling; default 0.

    Shapes:
        input, indices: (N, C, IH, IW) or (C, IH, IW)
        output: (N, C, OH, OW), OH = (IH - 1) * stride - 2 * padding + KH, OW alike

    ``forward`` also takes ``output_size``, for a pooling that left pixels over.

    Equal indices, types, devices and errors as in :func:`fastconv.functional.max_unpool2d`.

    Examples:
        >>> pool = fastconv.MaxPool2d(2, return_indices=True)
        >>> y, indices = pool(torch.ones(2, 3, 6, 6))
        >>> tuple(fastconv.MaxUnpool2d(2)(y, indices).shape)
        (2, 3, 6, 6)
    """

    _function = staticmethod(functional.max_unpool2d)


class MaxUnpool3d(MaxUnpool, nn.MaxUnpool3d):
    """The inverse of MaxPool3d: :class:`torch.nn.MaxUnpool3d` with only the computation replaced.

    Args:
        kernel_size: extents of the window, one number for all axes or (KD, KH, KW).
        stride: pixels from one window to the next, or (depth, rows, columns); None for the
            window's extents; default None.
        padding: border on each side, or (depth, rows, columns), of the pooling; default 0.

    Shapes:
        input, indices: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output: (N, C, OD, OH, OW), OD = (ID - 1) * stride - 2 * padding + KD, OH and OW
            alike

    ``forward`` also takes ``output_size``, for a pooling that left pixels over.

    Equal indices, types, devices and errors as in :func:`fastconv.functional.max_unpool3d`.

    Examples:
        >>> pool = fastconv.MaxPool3d(2, return_indices=True)
        >>> y, indices = pool(torch.ones(2, 3, 6, 6, 6))
        >>> tuple(fastconv.MaxUnpool3d(2)(y, indices).shape)
        (2, 3, 6, 6, 6)
    """

    _function = staticmethod(functional.max_unpool3d)
