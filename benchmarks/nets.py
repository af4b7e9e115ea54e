"""End to end: one inference, or one training step, of a whole net.

Every measurement runs in a process of its own, forked from one that has loaded torch and computed
nothing. Peak memory is what such a process holds at most, less what it held at the fork: weights,
gradients, optimizer, activations, workspaces. The shares of convolution and pooling come from
torch.profiler, in a step of its own: time of operators named so, with all that they call.
"""

import contextlib
import io
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from importlib import import_module

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.peers import OURS, Unavailable
from benchmarks.timing import Call, measure
from fastconv import models

MODES = ("inference", "training")
MEASURED_SHARE = 0.5  # of a net's seconds; the rest is for building, memory and shares


def head(job: dict) -> dict:
    """What a row says of its job."""
    names = ("stage", "net", "extent", "batch", "mode", "threads", "malloc")
    return {name: job[name] for name in names} | {"at": time.strftime("%Y-%m-%d %H:%M:%S")}


def measure_net(job: dict, seconds: float) -> dict:
    """A row of the result."""
    row = head(job)
    errors = _errors(job["net"], job["extent"])
    if "died" in errors:
        return row | {"left_out": errors["died"]}
    told = _forked(partial(_times, job, seconds * MEASURED_SHARE, errors))
    if "died" in told:
        return row | {"left_out": told["died"]}
    for name in (OURS, "eager"):
        if "median" in told["contenders"].get(name, {}):
            told["contenders"][name] |= _forked(partial(_peak_memory, job, name))
    return row | told


def load() -> None:
    """Imports what the processes need, so that it counts neither as their time nor memory."""
    for name in ("torch._dynamo", "torch.onnx", "onnx", "onnxruntime", "openvino"):
        with contextlib.suppress(ImportError):  # of a peer: it says so itself
            import_module(name)


def _forked(function: Callable[[], dict]) -> dict:
    """What the function returns in a child process, or {"died": why}."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def run() -> None:
        try:
            there.send(function())
        except (RuntimeError, MemoryError) as error:
            there.send({"died": str(error).splitlines()[0]})

    child = context.Process(target=run)
    child.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        child.join()
        return {"died": f"the process ended with status {child.exitcode}"}
    finally:
        child.join()


def resident_bytes() -> int:
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak_memory(job: dict, layers: str) -> dict:
    before = resident_bytes()
    step = make_step(job, layers)
    for _ in range(2):  # the second has the optimizer's state and the gradients of the first
        step()
    return {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before}


def _net(job: dict, layers: str) -> tuple[nn.Module, Tensor]:
    """The net with the same weights for either layer set, and images."""
    torch.manual_seed(0)
    channels = models.input_shape(job["net"])[0]
    model = models.build(job["net"], layers="fastconv" if layers == OURS else "torch")
    x = torch.randn(job["batch"], channels, job["extent"], job["extent"])
    return model.train(job["mode"] == "training"), x


def make_step(job: dict, layers: str) -> Callable[[], object]:
    model, x = _net(job, layers)
    if layers == "channels_last":
        model, x = (t.to(memory_format=torch.channels_last) for t in (model, x))
    return _step_of(job, torch.compile(model) if layers == "compile" else model, x)


def _step_of(job: dict, model: nn.Module, x: Tensor) -> Callable[[], object]:
    """Forward without gradients; or zero_grad, forward, loss, backward and a step of SGD."""
    if job["mode"] == "inference":

        def infer() -> Tensor:
            with torch.no_grad():
                return model(x)

        return infer
    classes = models.MODELS[job["net"]].num_classes
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
    model, x = _net(job, "eager")
    stream = io.BytesIO()
    try:
        torch.onnx.export(model, (x,), stream, dynamo=False, input_names=["x"])
        peer_module = import_module(f"benchmarks.peer_{peer}")
    except ImportError as error:
        raise Unavailable(f"not installed ({error.name or error})") from error
    return Call(peer_module.runner(stream.getvalue(), x.numpy()), peer)


def _times(job: dict, seconds: float, errors: dict[str, tuple[float, bool]]) -> dict:
    calls, entries, absent = {}, {}, {}
    for name in (OURS, *job["peers"]):
        try:
            own = name in ("onnxruntime", "openvino")
            calls[name] = _inference_peer(job, name) if own else Call(make_step(job, name))
        except Unavailable as reason:
            absent[name] = str(reason)
            continue
        entries[name] = {}
    for name, (share, right) in errors.items():
        entries[name] |= {"error": share}
        if not right:
            entries[name]["wrong"] = True
            del calls[name]
    if OURS not in calls:
        return {"contenders": entries, "absent": absent}
    measured = measure(calls, seconds)
    for name in calls:
        median, low, high = measured.seconds(name)
        entries[name] |= {"median": median, "low": low, "high": high}
        entries[name]["images_per_second"] = job["batch"] / median
        if name != OURS:
            ratio, low, high = measured.ratio(name, OURS)
            entries[name] |= {"ratio": ratio, "ratio_low": low, "ratio_high": high}
        if name in (OURS, "eager"):
            entries[name]["shares"] = _shares(calls[name].run)
    facts = {"rounds": len(measured.times[OURS]), "repeats": measured.repeats}
    return {"contenders": entries, "absent": absent, "noisy": measured.noisy} | facts


@lru_cache
def _errors(net: str, extent: int) -> dict:
    """`_errors_of` in a process of its own, once for all batches and modes."""
    return _forked(partial(_errors_of, net, extent))


def _errors_of(net: str, extent: int) -> dict[str, tuple[float, bool]]:
    """Of the logits of one image against the net in float64: ours and torch's.

    Through a whole net no bound can be derived that means anything; ours may be ten times as far
    from float64 as torch's, or off by 1e-5 of the largest logit.
    """
    single = {"net": net, "extent": extent, "mode": "inference", "batch": 1}
    with torch.no_grad():
        model, x = _net(single, "eager")
        exact = model.double()(x.double())
        distances = {}
        for name in (OURS, "eager"):
            model, x = _net(single, name)
            distance = (model(x).double() - exact).abs().max() / exact.abs().max()
            distances[name] = distance.item()
    limit = max(10 * distances["eager"], 1e-5)
    return {name: (d, name != OURS or d <= limit) for name, d in distances.items()}


def _kind(name: str) -> str | None:
    name = name.lower()
    if "pool" in name:
        return "pool"
    return "conv" if "conv" in name else None


def _shares(step: Callable[[], object]) -> dict[str, float]:
    """Shares of the time of a step that convolution and pooling take."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        step()
        whole = time.perf_counter() - start
    taken = sums_by_kind(profiler.events())
    shares = {kind: taken[kind] * 1e-6 / whole for kind in ("conv", "pool")}
    return shares | {"rest": max(0.0, 1 - sum(shares.values()))}


def sums_by_kind(events: Iterable) -> dict[str, float]:
    """Microseconds of convolutions and pools among profiler events, nested ones counted once."""
    taken = {"conv": 0.0, "pool": 0.0}
    for event in events:
        kind, parent = _kind(event.name), event.cpu_parent
        while kind and parent is not None:
            if _kind(parent.name):
                kind = None
            else:
                parent = parent.cpu_parent
        if kind:
            taken[kind] += event.cpu_time_total
    return taken
