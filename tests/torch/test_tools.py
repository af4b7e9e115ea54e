"""ONNX export, and counters of multiply-adds that are not torch's, with converted models."""

import io
import logging
import warnings

import pytest
import torch
from torch import nn

import fastconv
from fastconv import models


class Pools(nn.Module):
    """Even kernels with padding="same", groups, every pool, a row of pixels."""

    def __init__(self, divisor: int | None = None):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 4, padding="same", groups=1),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True),
            nn.Conv2d(8, 8, 3, padding=(1, 2), stride=2, dilation=2, groups=2, bias=False),
            nn.AvgPool2d(2, padding=1, count_include_pad=False),
            nn.AvgPool2d((2, 1), stride=1, divisor_override=divisor),
            fastconv.Conv2dSame(8, 4, 2),
        )
        self.row, self.pool = nn.Conv1d(4, 5, 2, padding=1), nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        x = self.body(x)
        return self.pool(self.row(x.mean(2)).unsqueeze(2)).flatten(1)


class Upsampling(nn.Sequential):
    """What a U-Net's way up has, and pools of rows."""

    def __init__(self):
        super().__init__(
            nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
            nn.ConvTranspose2d(4, 4, (2, 3), groups=2, dilation=2),
            nn.Flatten(2),
            nn.ConvTranspose1d(4, 2, 3, stride=2),
            nn.MaxPool1d(3, 2, 1),
            nn.AvgPool1d(2),
        )


MODELS = {
    "upsampling": (Upsampling, (3, 9, 8)),
    "pools": (Pools, (3, 25, 27)),
    "divisor": (lambda: Pools(3), (3, 25, 27)),
    "lenet5": (lambda: models.build("lenet5"), (1, 32, 32)),
    "resnet18_cifar": (lambda: models.build("resnet18_cifar"), (3, 32, 32)),
}


def exported(model, x, dynamo: bool) -> bytes:
    file = io.BytesIO()
    if not dynamo:
        torch.onnx.export(model, (x,), file, dynamo=False)
        return file.getvalue()
    torch.onnx.export(model, (x,), dynamo=True, verbose=False).save(file)
    return file.getvalue()


# torch's TorchScript exporter has no node for an average with a divisor.
@pytest.mark.parametrize(
    "name, dynamo",
    [*((name, True) for name in MODELS), *((name, False) for name in MODELS if name != "divisor")],
)
def test_onnx_has_the_standard_nodes_and_the_same_results(name, dynamo):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    make, size = MODELS[name]
    torch.manual_seed(0)
    model, x = fastconv.convert(make()).eval(), torch.randn(2, *size)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        content = exported(model, x, dynamo)
        expected = model(x).numpy()
    graph = onnx.load_from_string(content)
    onnx.checker.check_model(graph)
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    assert any(node.op_type.startswith("Conv") for node in graph.graph.node)
    session = runtime.InferenceSession(content)
    (result,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert abs(result - expected).max() <= 1e-4 * abs(expected).max()


def test_an_exported_program_decomposes_to_torchs_operators():
    from torch._decomp import get_decompositions

    model, x = fastconv.convert(Pools(5)).eval(), torch.randn(2, 3, 25, 27)
    program = torch.export.export(model, (x,))
    assert any("fastconv" in str(node.target) for node in program.graph.nodes)
    ours = [getattr(torch.ops.fastconv, name).default
            for name in ("conv2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d")]  # fmt: skip
    plain = program.run_decompositions(get_decompositions(ours))
    assert not any("fastconv" in str(node.target) for node in plain.graph.nodes)
    torch.testing.assert_close(plain.module()(x), model(x), rtol=1e-4, atol=1e-5)


def test_codes_of_the_decomposition_are_ours():
    from fastconv.core import decompositions, ops

    x = torch.randn(2, 3, 11, 9)
    args = ((3, 2), (2, 1), (1, 1), (2, 1), True)
    y, codes = decompositions.max_pool2d(x, *args, True)
    ours = ops.max_pool2d(x, *args, True)
    assert torch.equal(y, ours[0]) and torch.equal(codes, ours[1]) and codes.dtype is ours[1].dtype


def test_max_pooling_trains_when_compiled_for_any_size():
    model = fastconv.convert(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)))
    compiled = torch.compile(model, backend="aot_eager", dynamic=True)
    for size in (12, 14, 17):
        x = torch.randn(2, 3, size, size)
        compiled(x).sum().backward()
        grad, model[0].weight.grad = model[0].weight.grad, None
        model(x).sum().backward()
        torch.testing.assert_close(grad, model[0].weight.grad)
        model[0].weight.grad = None


def counted_by_fvcore(model, x, handles):
    analysis = pytest.importorskip("fvcore.nn").FlopCountAnalysis(model, x)
    return analysis.set_op_handle(**handles).unsupported_ops_warnings(False).total()


def test_fvcore_counts_as_with_torchs_layers():
    logging.disable(logging.WARNING)
    try:
        torchs, x = models.build("lenet5", layers="torch").eval(), torch.randn(2, 1, 32, 32)
        ours = models.build("lenet5").eval()
        pytest.importorskip("fvcore")
        handles = fastconv.tools.fvcore_handles()
        assert counted_by_fvcore(ours, x, handles) == counted_by_fvcore(torchs, x, {}) > 0
    finally:
        logging.disable(logging.NOTSET)


def test_thop_counts_as_with_torchs_layers():
    thop = pytest.importorskip("thop")
    x = torch.randn(2, 3, 32, 32)
    make = models.build
    expected = thop.profile(make("cifar_net", layers="torch"), (x,), verbose=False)
    ops = fastconv.tools.thop_ops()
    assert thop.profile(make("cifar_net"), (x,), custom_ops=ops, verbose=False) == expected
    routed = fastconv.convert(make("cifar_net", layers="torch"), mode="functions")
    assert thop.profile(routed, (x,), verbose=False) == expected
