"""End to end: one inference, or one training step, of a whole net.

Every measurement runs in a process of its own, forked from one that has loaded torch and computed
nothing. Peak memory is what such a process holds at most, less what it held at the fork: weights,
gradients, optimizer, activations, workspaces. The shares of convolution and pooling come from
torch.profiler, in a step of its own: time of operators named so, with all that they call.
"""

import contextlib
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from importlib import import_module

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness.net_calls import FOREIGN, call, first_line, make_step, net
from benchmarks.harness.timing import measure
from benchmarks.peers import OURS, Unavailable

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
    told = _times_of_survivors(job, seconds * MEASURED_SHARE, errors)
    if "died" in told:
        return row | {"left_out": told["died"]}
    for name in (OURS, "eager"):
        if "median" in told["contenders"].get(name, {}):
            told["contenders"][name] |= _forked(partial(_peak_memory, job, name))
    return row | told


def _times_of_survivors(job: dict, seconds: float, errors: dict) -> dict:
    """`_times` in a process of its own; if that dies, once more without the foreign runtimes."""
    told = _forked(partial(_times, job, seconds, errors))
    foreign = [peer for peer in job["peers"] if peer in FOREIGN]
    if "died" not in told or not foreign:
        return told
    own = job | {"peers": [peer for peer in job["peers"] if peer not in FOREIGN]}
    again = _forked(partial(_times, own, seconds, errors))
    if "died" not in again:
        again["absent"] |= dict.fromkeys(foreign, f"beside {' and '.join(foreign)} {told['died']}")
    return again


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
        except (ImportError, RuntimeError, ValueError, MemoryError) as error:
            there.send({"died": first_line(error)})

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
    # A second training step has the optimizer's state and the gradients of the first.
    for _ in range(2 if job["mode"] == "training" else 1):
        step()
    return {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before}


def _times(job: dict, seconds: float, errors: dict[str, tuple[float, bool]]) -> dict:
    calls, entries, absent = {}, {}, {}
    for name in (OURS, *job["peers"]):
        try:
            calls[name] = call(job, name)
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
def _errors(name: str, extent: int) -> dict:
    """`_errors_of` in a process of its own, once for all batches and modes."""
    return _forked(partial(_errors_of, name, extent))


def _errors_of(name: str, extent: int) -> dict[str, tuple[float, bool]]:
    """Of the logits of one image against the net in float64: ours and torch's.

    Through a whole net no bound can be derived that means anything; ours may be ten times as far
    from float64 as torch's, or off by 1e-5 of the largest logit.
    """
    single = {"net": name, "extent": extent, "mode": "inference", "batch": 1}
    with torch.no_grad():
        model, x = net(single, "eager")
        exact = model.double()(x.double())
        distances = {}
        for layers in (OURS, "eager"):
            model, x = net(single, layers)
            distance = (model(x).double() - exact).abs().max() / exact.abs().max()
            distances[layers] = distance.item()
    limit = max(10 * distances["eager"], 1e-5)
    return {name: (d, name != OURS or d <= limit) for name, d in distances.items()}


def _kind(name: str) -> str | None:
    name = name.lower()
    if "pool" in name:
        return "pool"
    return "conv" if "conv" in name else None


def _shares(step: Callable[[], object]) -> dict[str, float]:
    """Shares of the time of a step that convolution and pooling take; it was run before."""
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
