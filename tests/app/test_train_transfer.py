"""Transfer learning: what is taken from a file, and what stays as it was. Public names only."""

from pathlib import Path

import pytest
import torch
from torch import nn
from training import config, few_digits, learner, noise, trained

from fastconv import models
from fastconv.train import Observer, Trainer
from fastconv.train.config import TrainError
from fastconv.train.transfer import freeze, start_from


def test_starts_from_a_checkpoint_of_its_own_layers(tmp_path: Path):
    before = Trainer(config(epochs=1), few_digits(), tmp_path)
    before.fit()
    path = tmp_path / "checkpoint.pt"
    for layers in ("fastconv", "torch"):
        one = learner(layers=layers, seed=5, init_from=str(path))
        for name, tensor in before.learners[layers].model.state_dict().items():
            assert torch.equal(one.model.state_dict()[name], tensor)
        assert one.note == f"10 of 10 tensors from {path}"


def test_head_of_another_shape_stays_fresh(tmp_path: Path):
    """From ten classes to three: all but the last layer."""
    path = tmp_path / "weights.pt"
    torch.save(models.build("lenet5").state_dict(), path)
    own = models.build("lenet5", num_classes=3)
    fresh = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    note = start_from(own, path, "fastconv")
    assert note == (
        f"8 of 10 tensors from {path}; "
        "fresh (of another shape there): classifier.5.weight, classifier.5.bias"
    )
    given = torch.load(path, weights_only=True)
    for name, tensor in own.state_dict().items():
        assert torch.equal(tensor, fresh[name] if "classifier.5" in name else given[name])


def test_names_that_one_side_lacks_are_told(tmp_path: Path):
    path = tmp_path / "weights.pt"
    state = models.build("lenet5").state_dict()
    state["extra.weight"] = state.pop("features.0.bias")
    torch.save(state, path)
    note = start_from(models.build("lenet5"), path, "torch")
    assert "fresh (not there): features.0.bias" in note
    assert "not used: extra.weight" in note


BAD = {
    "missing": None,
    "of another model": {"conv.weight": torch.zeros(2, 2)},
    "no tensors": {"features.0.weight": 3},
    "empty": {},
    "a list": [torch.zeros(3)],
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_file_without_weights_for_the_model(tmp_path: Path, content):
    path = tmp_path / "weights.pt"
    if content is not None:
        torch.save(content, path)
    with pytest.raises(TrainError) as error:
        learner(init_from=str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_code_in_the_file_is_not_run(tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return Path.mkdir, (tmp_path / "trap",)

    torch.save({"features.0.weight": Trap()}, tmp_path / "weights.pt")
    with pytest.raises(TrainError, match="damaged"):
        learner(init_from=str(tmp_path / "weights.pt"))
    assert not (tmp_path / "trap").exists()


def test_frozen_weights_do_not_move():
    start = learner().model.state_dict()
    end = trained(freeze=("features", "classifier.1.bias"), epochs=1).model.state_dict()
    for name, tensor in end.items():
        frozen = name.startswith("features.") or name == "classifier.1.bias"
        assert torch.equal(tensor, start[name]) == frozen, name


def test_frozen_batch_norm_keeps_its_statistics():
    options = {"model": "resnet18_cifar", "max_steps": 1, "batch_size": 4}
    one = learner(noise(3), freeze=("bn1", "layer1"), **options)
    before = {name: buffer.clone() for name, buffer in one.model.named_buffers()}
    one.train_epoch(1, Observer())
    for name, buffer in one.model.named_buffers():
        if "running" in name:
            frozen = name.startswith(("bn1.", "layer1."))
            assert torch.equal(buffer, before[name]) == frozen, name


def test_prefixes_are_whole_parts_of_names():
    model = nn.ModuleDict({"1": nn.Linear(2, 2), "10": nn.Linear(2, 2)})
    frozen = freeze(model, ["1"])
    assert frozen == [model["1"]]
    assert [p.requires_grad for p in model["10"].parameters()] == [True, True]


@pytest.mark.parametrize(
    "prefixes, words",
    [
        (("feature",), "nothing to freeze is called feature: the model consists of features, "),
        (("features", "classifier"), "leaves nothing to train"),
    ],
)
def test_impossible_freezing(prefixes: tuple[str, ...], words: str):
    with pytest.raises(TrainError, match=words):
        learner(freeze=prefixes)


def test_resume_does_not_need_the_file_again(tmp_path: Path):
    path = tmp_path / "weights.pt"
    torch.save(models.build("lenet5").state_dict(), path)
    options = {"init_from": str(path), "freeze": ("features",), "layers": "torch"}
    done = Trainer(config(**options), few_digits(), tmp_path / "run")
    done.fit()
    path.unlink()
    resumed = Trainer(config(**options), few_digits(), tmp_path / "run", resume=True)
    assert resumed.history == done.history
