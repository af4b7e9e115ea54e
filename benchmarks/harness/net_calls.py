"""A whole net as something to time: one inference or one training step, of ours or of a peer."""

import contextlib
import io
from collections.abc import Callable
from importlib import import_module

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import zoo
from benchmarks.harness.timing import Call
from benchmarks.peers import OURS, Unavailable

FOREIGN = ("onnxruntime", "openvino")  # runtimes of their own, for inference
NOISE_COUNT = 2**20


def first_line(error: BaseException) -> str:
    """Of its message, cut where it turns to details."""
    return (str(error) or type(error).__name__).splitlines()[0][:160].rstrip()


def net(job: dict, layers: str) -> tuple[nn.Module, Tensor]:
    """The net with the same weights for either layer set, and images."""
    torch.manual_seed(0)
    channels, _ = zoo.channels_and_extent(job["net"])
    with torch.device("meta"):
        model = zoo.build(job["net"], "fastconv" if layers.startswith(OURS) else "torch")
    model.to_empty(device="cpu")
    _fill(model)
    x = torch.randn(job["batch"], channels, job["extent"], job["extent"])
    return model.train(job["mode"] == "training"), x


def _fill(model: nn.Module) -> None:
    """He's normal weights from one block of noise over and over (drawing 138 million numbers would
    take longer than what is measured); biases are 0, scales 1, running statistics (0, 1).
    """
    noise = torch.randn(NOISE_COUNT)
    with torch.no_grad():
        for name, t in [*model.named_parameters(), *model.named_buffers()]:
            if t.ndim > 1:
                scale = (2 / t[0].numel()) ** 0.5
                for part in t.view(-1).split(NOISE_COUNT):
                    torch.mul(noise[: len(part)], scale, out=part)
            else:
                t.fill_(name.endswith(("weight", "running_var")))


def make_step(job: dict, layers: str) -> Callable[[], object]:
    """The job's step with fastconv's layers ("fastconv", "fastconv_channels_last"), or torch's:
    "eager", "channels_last", "compile".
    """
    model, x = net(job, layers)
    if layers.endswith("channels_last"):
        model, x = (t.to(memory_format=torch.channels_last) for t in (model, x))
    return step_of(job, torch.compile(model) if layers == "compile" else model, x)


def step_of(job: dict, model: nn.Module, x: Tensor) -> Callable[[], object]:
    """Forward without gradients; or zero_grad, forward, loss, backward and a step of SGD."""
    if job["mode"] == "inference":

        def infer() -> Tensor:
            with torch.no_grad():
                return model(x)

        return infer
    classes = zoo.classes(job["net"])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    target = torch.randint(max(classes, 2), (len(x),))

    def train() -> None:
        optimizer.zero_grad()
        y = model(x)
        if classes == 1:
            loss = F.binary_cross_entropy_with_logits(y[:, 0], target.float())
        else:
            loss = F.cross_entropy(y, target)
        loss.backward()
        optimizer.step()

    return train


def _inference_peer(job: dict, peer: str) -> Call:
    """
    Raises:
        Unavailable: training, or the package is missing.
    """
    if job["mode"] != "inference":
        raise Unavailable("inference only")
    model, x = net(job, "eager")
    stream = io.BytesIO()
    how = {"dynamo": False, "input_names": ["x"], "do_constant_folding": False}
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints the graphs it cannot write
            torch.onnx.export(model, (x,), stream, **how)
        peer_module = import_module(f"benchmarks.peers.{peer}_peer")
    except ImportError as error:
        raise Unavailable(f"not installed ({error.name or error})") from error
    except torch.onnx.OnnxExporterError as error:
        raise Unavailable(first_line(error)) from error
    return Call(peer_module.runner(stream.getvalue(), x.numpy()), peer)


def _compiled(job: dict) -> Call:
    """
    Raises:
        Unavailable: it does not compile.
    """
    step = make_step(job, "compile")
    try:
        step()
    except RuntimeError as error:
        raise Unavailable(first_line(error)) from error
    return Call(step)


def call(job: dict, name: str) -> Call:
    """What fastconv, or the peer of that name, does for a job.

    Raises:
        Unavailable: the peer cannot.
    """
    if name in FOREIGN:
        return _inference_peer(job, name)
    return _compiled(job) if name == "compile" else Call(make_step(job, name))
