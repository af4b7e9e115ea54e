"""Tensors to compute with: whole numbers for exact sums, normal ones, memory formats, views."""

import torch
from torch import Tensor, nn

FLOATS = (torch.float32, torch.float64)
SHORT = (torch.float16, torch.bfloat16)
FORMATS = (torch.contiguous_format, torch.channels_last)


def whole(*size: int, seed: int = 0) -> Tensor:
    """Small whole numbers in float64."""
    generator = torch.Generator().manual_seed(seed + sum(size))
    return torch.randint(-3, 4, size, generator=generator).double()


def fill(module: nn.Module) -> nn.Module:
    """Whole numbers for parameters, the same in every module of these sizes; float64."""
    module.double()
    with torch.no_grad():
        for seed, p in enumerate(module.parameters()):
            p.copy_(whole(*p.shape, seed=seed))
    return module


def distinct(*size) -> Tensor:
    """No two alike, 1 apart: neither ties, nor a finite difference that changes a maximum."""
    generator = torch.Generator().manual_seed(sum(size))
    count = torch.Size(size).numel()
    return torch.randperm(count, generator=generator).double().view(size) - count // 2


def randn(*size, dtype=torch.float64, seed=0) -> Tensor:
    """The same numbers in every type, but for rounding."""
    generator = torch.Generator().manual_seed(seed + 31 * len(size) + sum(size))
    return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)


def with_ties(*size, dtype=torch.float64) -> Tensor:
    """Few different numbers, so that most windows hold their maximum more than once."""
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randint(-2, 2, size, generator=generator).to(dtype)


def with_nans(*size, dtype=torch.float64) -> Tensor:
    x = with_ties(*size, dtype=dtype)
    generator = torch.Generator().manual_seed(sum(size))
    return x.masked_fill(torch.rand(size, generator=generator) < 0.25, float("nan"))


def channels_last(t: Tensor) -> Tensor:
    return t.contiguous(memory_format=torch.channels_last)


def views(t: Tensor) -> dict[str, Tensor]:
    """Views of the size and (but for the expanded ones) the values of `t`."""
    n, c, h, w = t.shape
    wide = torch.full((n, c + 2, h, 2 * w + 1), float("nan"), dtype=t.dtype)
    wide[:, 1:-1, :, 1::2] = t
    offset = torch.cat([torch.full((3,), float("nan"), dtype=t.dtype), t.flatten()])[3:]
    negative = torch.complex(torch.zeros_like(t), -t).conj().imag if t.dtype in FLOATS else t
    return {
        "sliced": wide[:, 1:-1, :, 1::2],
        "transposed": t.transpose(2, 3).contiguous().transpose(2, 3),
        "batch_innermost": t.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
        "at_an_offset": offset.view(t.shape),
        "negative_bit": negative,
        "expanded_over_batch": t[:1].expand(t.shape),
        "expanded_over_channels": t[:, :1].expand(t.shape),
        "expanded_over_rows": t[:, :, :1].expand(t.shape),
        "one_number": t[:1, :1, :1, :1].expand(t.shape),
    }


VIEWS = tuple(views(torch.zeros(2, 2, 2, 2)))
