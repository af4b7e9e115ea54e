"""fastconv.report, and what convert says of the layers that stay torch's."""

import copy
import warnings

import pytest
import torch
from tensors import fill, whole
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import fastconv


class Standardized(nn.Conv2d):
    def forward(self, x):
        return nn.functional.conv2d(x, self.weight - self.weight.mean(), self.bias)


def mixed() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        Standardized(4, 4, 1),
        nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.FractionalMaxPool2d(2, 1)),
        nn.ConvTranspose3d(1, 1, 1),
        nn.LazyConv2d(4, 1),
        parametrizations.weight_norm(nn.Conv1d(2, 2, 1)),
        nn.Conv2d(1, 1, 1, dtype=torch.complex64),
    )


def reasons(model: nn.Module) -> dict[str, str]:
    return {row.layer: row.why for row in fastconv.report(model).rows}


def test_rows_and_reasons():
    model = mixed()
    assert fastconv.report(model).counts == {"fastconv": 0, "torch": 8}
    assert reasons(model)["0"] == "torch's own Conv2d: fastconv.convert(model)"
    with pytest.warns(UserWarning, match=r"left 4 of 8 .* fastconv\.report\(model\)"):
        fastconv.convert(model)
    assert reasons(model) == {
        "0": "",
        "1": "a subclass of Conv2d: fastconv.convert(model, mode='functions')",
        "2.0": "",
        "2.2": "FractionalMaxPool2d is not covered",
        "3": "ConvTranspose3d is not covered",
        "4": "",
        "5": "",
        "6": "no kernels for torch.complex64",
    }
    report = fastconv.report(model)
    assert report.counts == {"fastconv": 4, "torch": 4}
    assert report.as_dicts()[0] == {"layer": "0", "kind": "Conv2d", "computed_by": "fastconv",
                                    "why": ""}  # fmt: skip
    text = str(report)
    assert "4 of 8 convolution and pooling layers are fastconv's" in text
    assert "1 left to torch: ConvTranspose3d is not covered" in text
    assert len(text.splitlines()) == 2 + 8 + 1 + 5
    assert "no convolution" in str(fastconv.report(nn.ReLU()))


def test_functions_mode_serves_subclasses():
    model = mixed()
    with pytest.warns(UserWarning, match="left 3 of 8"):
        fastconv.convert(model, mode="functions")
    assert set(filter(None, reasons(model).values())) == {
        "FractionalMaxPool2d is not covered",
        "ConvTranspose3d is not covered",
        "no kernels for torch.complex64",
    }


def test_one_warning_a_call_or_the_summary_and_silence_where_nothing_stays(capsys):
    model = mixed()
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fastconv.convert(model)
        assert [w.category for w in caught] == [UserWarning]
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastconv.convert(nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()))
        fastconv.convert(model, verbose=True)
    printed = capsys.readouterr().out
    assert printed.startswith("4 of 8 convolution") and "left to torch" in printed


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "orthogonal"])
@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d", "Conv1d"])
def test_parametrized_layers_through_convert_and_revert_in_either_order(kind: str, name: str):
    if name == "orthogonal" and kind == "Conv1d":
        pytest.skip("orthogonal adds nothing to the other two")
    conv = fill(getattr(nn, kind)(2, 2, 3)).eval()
    getattr(parametrizations, name)(conv)
    conv.eval()
    x = whole(1, 2, *[5] * int(kind[-2]))
    want, keys = conv(x), list(conv.state_dict())
    model = fastconv.convert(nn.Sequential(conv))
    assert isinstance(model[0], getattr(fastconv, kind)) and parametrize.is_parametrized(model[0])
    assert fastconv.report(model).counts == {"fastconv": 1, "torch": 0}
    for same in (model, copy.deepcopy(model)):
        assert [k.removeprefix("0.") for k in same.state_dict()] == keys
        torch.testing.assert_close(same(x), want, rtol=1e-12, atol=1e-12)
    model(x).sum().backward()
    back = fastconv.revert(copy.deepcopy(model))
    assert not isinstance(back[0], getattr(fastconv, kind))
    torch.testing.assert_close(back(x), want, rtol=1e-12, atol=1e-12)
    parametrize.remove_parametrizations(model[0], "weight")
    assert type(model[0]) is getattr(fastconv, kind)
    parametrize.remove_parametrizations(back[0], "weight")
    assert type(back[0]) is getattr(nn, kind)
    torch.testing.assert_close(model(x), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_old_norms_through_convert_and_revert_in_either_order(name: str):
    normed, remove = getattr(nn.utils, name), getattr(nn.utils, f"remove_{name}")
    conv = normed(fill(nn.Conv2d(2, 2, 3))).eval()
    x = whole(1, 2, 5, 5)
    want = conv(x)
    assert type(fastconv.convert(conv)) is fastconv.Conv2d
    torch.testing.assert_close(conv(x), want, rtol=1e-12, atol=1e-12)
    remove(conv)
    torch.testing.assert_close(conv(x), want, rtol=1e-12, atol=1e-12)
    assert type(fastconv.revert(conv)) is nn.Conv2d
    conv = normed(fastconv.convert(conv))
    want = conv(x)
    remove(fastconv.revert(conv))
    torch.testing.assert_close(conv(x), want, rtol=1e-12, atol=1e-12)
