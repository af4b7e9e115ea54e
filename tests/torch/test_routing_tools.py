"""Tools that want exactly torch.nn's classes, with models in functions mode."""

import copy
import warnings

import pytest
import torch
from test_routing import X, net
from torch import nn

import fastconv


@pytest.fixture
def model():
    warnings.simplefilter("ignore")
    return fastconv.convert(net(), mode="functions")


def test_script_is_refused_in_one_sentence(model):
    with pytest.raises(NotImplementedError, match="script fastconv.revert"):
        torch.jit.script(model)
    scripted = torch.jit.script(fastconv.revert(copy.deepcopy(model)))
    torch.testing.assert_close(scripted(X), model(X))


def test_fuse_modules(model):
    from torch.ao.quantization import fuse_modules

    fused = fuse_modules(copy.deepcopy(model), [["0", "1", "2"]])
    assert type(fused[0]).__name__ == "ConvReLU2d" and type(fused[1]) is nn.Identity
    torch.testing.assert_close(fused(X), model(X), rtol=1e-4, atol=1e-5)


def test_fx_fuse(model):
    from torch.fx.experimental import optimization

    fused = optimization.fuse(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    torch.testing.assert_close(fused(X), model(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["classes", "functions"])
def test_fuse_conv_bn_eval(mode):
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    model = fastconv.convert(net(), mode=mode)
    fused = fuse_conv_bn_eval(model[0], model[1])
    assert type(fused) is type(model[0])
    torch.testing.assert_close(fused(X), model[1](model[0](X)), rtol=1e-4, atol=1e-5)


def test_fx_quantization(model):
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    prepared = prepare_fx(model, get_default_qconfig_mapping("x86"), (X,))
    prepared(X)
    quantized = convert_fx(prepared)
    names = [type(m).__module__ for m in quantized.children()]
    assert any("quantized" in name for name in names)
    assert (quantized(X) - model(X)).abs().max() < 0.1


@pytest.mark.skipif(torch.__version__ < "2.5", reason="its compiler knows no modes of functions")
def test_graphs_and_counts_of_functions_mode():
    from torch.utils.flop_counter import FlopCounterMode

    def flops(of: nn.Module) -> int:
        with FlopCounterMode(display=False) as counter:
            of(X)
        return counter.get_total_flops()

    routed = fastconv.convert(net(), mode="functions")
    exported = " ".join(str(node.target) for node in torch.export.export(routed, (X,)).graph.nodes)
    assert "fastconv.conv2d" in exported and "fastconv.max_pool2d" in exported
    traced = {node.kind() for node in torch.jit.trace(routed, X).inlined_graph.nodes()}
    assert {"fastconv::conv2d", "fastconv::max_pool2d"} <= traced
    assert flops(routed) == flops(net()) > 0
