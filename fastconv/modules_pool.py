"""Pooling layers of rows and volumes, and power averages: torch.nn's with only the computation
replaced. Layer: modules, over functional.
"""

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from fastconv import functional
from fastconv.modules import Layer

Pooled = Tensor | tuple[Tensor, Tensor]


class MaxPool1d(Layer, nn.MaxPool1d):
    """1-D max pooling: :class:`torch.nn.MaxPool1d` with only the computation replaced."""

    if TYPE_CHECKING:  # a Tensor, or two with return_indices

        def __call__(self, input: Tensor) -> Any: ...

    def forward(self, input: Tensor) -> Pooled:
        return functional.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation,
            ceil_mode=self.ceil_mode, return_indices=self.return_indices,
        )  # fmt: skip


class MaxPool3d(Layer, nn.MaxPool3d):
    """3-D max pooling: :class:`torch.nn.MaxPool3d` with only the computation replaced."""

    if TYPE_CHECKING:  # a Tensor, or two with return_indices

        def __call__(self, input: Tensor) -> Any: ...

    def forward(self, input: Tensor) -> Pooled:
        return functional.max_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.dilation,
            ceil_mode=self.ceil_mode, return_indices=self.return_indices,
        )  # fmt: skip


class AvgPool1d(Layer, nn.AvgPool1d):
    """1-D average pooling: :class:`torch.nn.AvgPool1d` with only the computation replaced."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip


class AvgPool3d(Layer, nn.AvgPool3d):
    """3-D average pooling: :class:`torch.nn.AvgPool3d` with only the computation replaced."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.avg_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip


class AdaptiveAvgPool1d(Layer, nn.AdaptiveAvgPool1d):
    """1-D average pooling to a size: :class:`torch.nn.AdaptiveAvgPool1d`, computation replaced."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool3d(Layer, nn.AdaptiveAvgPool3d):
    """3-D average pooling to a size: :class:`torch.nn.AdaptiveAvgPool3d`, computation replaced."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.adaptive_avg_pool3d(input, self.output_size)


class AdaptiveMaxPool1d(Layer, nn.AdaptiveMaxPool1d):
    """1-D max pooling to a size: :class:`torch.nn.AdaptiveMaxPool1d`, computation replaced where
    the output's extent divides the input's."""

    if TYPE_CHECKING:  # a Tensor, or two with return_indices

        def __call__(self, input: Tensor) -> Any: ...

    def forward(self, input: Tensor) -> Pooled:
        return functional.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class LPPool1d(Layer, nn.LPPool1d):
    """1-D power averages: :class:`torch.nn.LPPool1d` with only the computation replaced."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.lp_pool1d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )


class LPPool2d(Layer, nn.LPPool2d):
    """2-D power averages: :class:`torch.nn.LPPool2d` with only the computation replaced."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.lp_pool2d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )


class LPPool3d(Layer, nn.LPPool3d):
    """3-D power averages: :class:`torch.nn.LPPool3d` with only the computation replaced."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.lp_pool3d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )
