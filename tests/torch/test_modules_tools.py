"""The modules under torch's tools: parametrizations, pruning, fusion, functional calls, DDP."""

import subprocess
import sys
import warnings

import pytest
import torch
from reference import dot_bound, magnitude
from small_net import Net, X
from tensors import fill
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.fusion import fuse_conv_bn_eval

import fastconv


@pytest.mark.parametrize("name", ["spectral_norm", "weight_norm", "orthogonal"])
def test_parametrizations(name: str):
    results = []
    for package in (fastconv, nn):
        torch.manual_seed(1)
        conv = package.Conv2d(2, 4, 2, dtype=torch.float64)
        getattr(parametrizations, name)(conv)
        y = conv(X)
        y.sum().backward()
        assert all(p.grad is not None for p in conv.parameters())
        results.append((repr(conv), y.detach(), conv.weight.detach()))
    (text, y, w), (like_text, like, like_w) = results
    assert text.replace("fastconv", "") == like_text.replace("fastconv", "")
    assert torch.equal(w, like_w)
    limit = dot_bound(8 + 1, 9 * 3 * magnitude(w) + 3, y.dtype)
    assert (y - like).abs().max() <= limit


def test_old_weight_norm_and_pruning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        conv = nn.utils.weight_norm(fastconv.Conv2d(2, 4, 2, dtype=torch.float64))
    conv(X).sum().backward()
    assert conv.weight_g.grad is not None
    conv = fill(fastconv.Conv2d(2, 4, 2))
    prune.l1_unstructured(conv, "weight", amount=0.5)
    assert torch.equal(conv(X), nn.functional.conv2d(X, conv.weight, conv.bias))


def test_fused_batch_norm():
    conv, norm = fill(fastconv.Conv2d(2, 4, 2)).eval(), nn.BatchNorm2d(4).double().eval()
    fused = fuse_conv_bn_eval(conv, norm)
    assert type(fused) is fastconv.Conv2d
    want = norm(conv(X))
    limit = dot_bound(12, 8 * 9 + 3, X.dtype)
    assert (fused(X) - want).abs().max() <= limit


def test_functional_call():
    model, other = fill(Net()), fill(Net(nn))
    doubled = {name: 2 * p for name, p in model.named_parameters()}
    got = torch.func.functional_call(model, doubled, (X,))
    assert torch.equal(got, torch.func.functional_call(other, doubled, (X,)))
    assert not torch.equal(got, model(X))


def test_memory_format_conversion_of_weights():
    model = nn.utils.convert_conv2d_weight_memory_format(Net(), torch.channels_last)
    assert model.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_share_memory():
    model = fill(Net())
    want = model(X)
    assert torch.equal(model.share_memory()(X), want)


DDP = """
import os, sys, warnings
import torch
from torch import nn
import fastconv

memory_format, store = getattr(torch, sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
torch.set_warn_always(True)
layers = fastconv.Conv2d(3, 8, 3, padding=1), fastconv.MaxPool2d(2), fastconv.Conv2d(8, 4, 1)
model = nn.Sequential(*layers).to(memory_format=memory_format)
x = torch.randn(2, 3, 8, 8).contiguous(memory_format=memory_format)
model(x).square().sum().backward()
alone = [p.grad.clone() for p in model.parameters()]
model.zero_grad()
parallel = nn.parallel.DistributedDataParallel(model)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    parallel(x).square().sum().backward()
print([str(w.message) for w in caught if "Grad strides do not match" in str(w.message)])
print(all(torch.equal(p.grad, a) for p, a in zip(model.parameters(), alone)))
sys.stdout.flush()
os._exit(0)  # torch's teardown of gloo may wait for itself
"""


@pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this torch has no gloo",
)
@pytest.mark.parametrize("memory_format", ["contiguous_format", "channels_last"])
def test_ddp_gets_gradients_with_the_strides_of_its_buckets(memory_format, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", DDP, memory_format, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["[]", "True"], done.stderr
