"""Random changes to training images that keep what they show: shifted crops, mirror images.

Layer: beside ``dataset``; torch only.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Augment:
    """y[n,ic,ih,iw] = x[n, ic, ih + dy[n], iw + dx[n]], mirrored in iw for half of the n; x = 0
    outside the image.

    Args:
        crop_padding: dy and dx are drawn from -crop_padding .. crop_padding: what cropping at
            random after padding all sides by so many zeros gives. At least 0.
        flip: mirror left and right with probability 1/2.

    Raises:
        ValueError: a negative ``crop_padding``.
    """

    crop_padding: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.crop_padding < 0:
            raise ValueError(f"crop_padding is {self.crop_padding}: it must be at least 0")

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A changed batch: uint8 (N, IC, IH, IW) to the same shape; only ``generator`` decides."""
        N, IC, IH, IW = images.shape
        padding = self.crop_padding
        if not padding and not self.flip:
            return images
        ih, iw = torch.arange(IH).expand(N, IH), torch.arange(IW).expand(N, IW)
        if self.flip:
            mirrored = torch.rand(N, 1, generator=generator) < 0.5
            iw = torch.where(mirrored, iw.flip(1), iw)
        if padding:
            images = F.pad(images, (padding,) * 4)
            dy, dx = torch.randint(0, 2 * padding + 1, (2, N, 1), generator=generator)
            ih, iw = ih + dy, iw + dx
        pixel = ih.unsqueeze(2) * images.shape[3] + iw.unsqueeze(1)  # (N, IH, IW)
        pixel = pixel.view(N, 1, IH * IW).expand(N, IC, IH * IW)
        return images.flatten(2).gather(2, pixel).view(N, IC, IH, IW)
