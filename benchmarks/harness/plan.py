"""What to measure, in stages: each a process with its own threads and malloc settings, and a share
of the time.
"""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch

from benchmarks.harness import cases, zoo
from benchmarks.harness.layer_row import packed
from benchmarks.harness.problems import CONV_DIRECTIONS, POOL_DIRECTIONS
from fastconv.models.cost import cost

MALLOC = {
    # Large tensors stay in the heap instead of being mapped and paged in anew by every call.
    "tuned": {
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**32),
        "MALLOC_TOP_PAD_": str(2**26),
    },
    "default": {},
}
PAGED_BYTES = 20e6  # of a tensor, from which on glibc's defaults page it in on every call
SINGLE = ("forward", "backward_input", "backward_weight")
TORCH_PEERS = ("eager", "channels_last")
BOTH_LAYOUTS = (*TORCH_PEERS, "fastconv_channels_last")  # of torch and of fastconv
ALL_PEERS = (*TORCH_PEERS, "compile", "onnxruntime", "openvino", "jax")
COMPILED_NETS = ("lenet5", "cifar_net")  # for others torch.compile takes longer than all the rest
MOST_STEP_FLOP = 30e9  # of a net's step with more than one image
MOST_TYPE_FLOP = 4e9  # of a forward pass in another type than float32, which torch may do slowly


class Stage(NamedTuple):
    """`share`: of the whole time, as a weight."""

    name: str
    threads: int
    malloc: str
    share: float
    jobs: list[dict]


def layer_jobs(
    stage: Stage,
    chosen: Iterable[cases.Case],
    directions: Sequence[str],
    peers: Sequence[str],
    dtypes: Sequence[str] = ("float32",),
) -> Stage:
    """The stage with a job for each layer, type and direction."""
    for case in chosen:
        own = CONV_DIRECTIONS if isinstance(case, cases.ConvCase) else POOL_DIRECTIONS
        for dtype in dtypes:
            for direction in (d for d in own if d in directions):
                job = {"kind": "layer", "case": packed(case), "direction": direction}
                stage.jobs.append(_in(stage, job | {"dtype": dtype, "peers": list(peers)}))
    return stage


def _in(stage: Stage, job: dict) -> dict:
    return job | {"stage": stage.name, "threads": stage.threads, "malloc": stage.malloc}


def job_id(job: dict) -> str:
    return json.dumps(job, sort_keys=True)


def step_flop(net: str, extent: int, batch: int, mode: str) -> float:
    """Of convolutions and linear layers; a training step takes three times a forward pass."""
    return 2 * batch * _multiply_adds(net, extent) * (3 if mode == "training" else 1)


def dearest_first(jobs: list[dict]) -> list[dict]:
    """Nets in the order of their steps: what is left of the time is then shared by those that can
    use less or more of it.
    """
    names = ("net", "extent", "batch", "mode")
    return sorted(jobs, key=lambda job: -step_flop(*(job[name] for name in names)))


@lru_cache
def _multiply_adds(net: str, extent: int) -> int:
    """0 for a net that cannot be built here: its row will say so."""
    try:
        with torch.device("meta"):
            model = zoo.build(net)
    except ImportError:
        return 0
    return cost(model, (zoo.channels_and_extent(net)[0], extent, extent)).multiply_adds


def net_jobs(
    stage: Stage,
    nets: Iterable[tuple[str, int]],
    batches: Sequence[int],
    compiled: Sequence[str] = (),
) -> Stage:
    """The stage with a training step and an inference of each net, where they are not too dear."""
    for net, extent in nets:
        for mode in ("training", "inference"):
            for batch in batches:
                if batch > 1 and step_flop(net, extent, batch, mode) > MOST_STEP_FLOP:
                    continue
                peers = list(BOTH_LAYOUTS)
                peers += ["compile"] if net in compiled else []
                foreign = mode == "inference" and not net.startswith(zoo.PREFIX)
                peers += ["onnxruntime", "openvino"] if foreign else []
                job = {"kind": "net", "net": net, "extent": extent, "batch": batch, "mode": mode}
                stage.jobs.append(_in(stage, job | {"peers": peers}))
    return stage


def _overhead(share: float) -> Stage:
    stage = Stage("overhead", 1, "default", share, [])
    stage.jobs.append(_in(stage, {"kind": "overhead"}))
    return stage


def _largest_bytes(case: cases.Case) -> int:
    sizes = [case.N * case[2] * case.IH * case.IW]
    if isinstance(case, cases.ConvCase):
        N, OC, OH, OW = case.output_size
        sizes.append(N * OC * OH * OW)
    return 4 * max(sizes)


def _paged(case: cases.Case) -> bool:
    return _largest_bytes(case) >= PAGED_BYTES


def full(threads: int) -> list[Stage]:
    """Everything that `make bench` measures. Every layer has its home batch, two threads and
    torch's eager peers; what multiplies the work is measured on some layers of every kind.
    """
    every, core = cases.all_cases(), cases.select(cases.CORE)
    growth = [case for row in cases.GROWTH.values() for case in row]
    both = ("forward", "autograd")

    def stage(name: str, share: float, malloc: str = "default", count: int = threads) -> Stage:
        return Stage(name, count, malloc, share, [])

    peers = cases.select(cases.BESIDE_PEERS)
    types = [c for c in core if cases.forward_flop(c) <= MOST_TYPE_FLOP]
    single = [cases.resized(c, 1) for c in core if c.N != 1]
    halves = ("bfloat16", "float16")
    nets = net_jobs(stage("nets", 30), cases.NETS, (1, 16, 64), COMPILED_NETS)
    net_jobs(net_jobs(nets, zoo.SMALL, (16,)), zoo.LARGE, (1,))
    return [
        layer_jobs(stage("layers", 40), every, SINGLE, BOTH_LAYOUTS),
        nets,
        layer_jobs(stage("types", 6), types, SINGLE, BOTH_LAYOUTS, ("float64",)),
        layer_jobs(stage("half types", 8), types, SINGLE, BOTH_LAYOUTS, halves),
        layer_jobs(stage("batch 1", 5), single, SINGLE, BOTH_LAYOUTS),
        layer_jobs(stage("peers", 5), peers, ("forward",), ALL_PEERS),
        layer_jobs(stage("malloc", 4, "tuned"), filter(_paged, every), SINGLE, TORCH_PEERS),
        layer_jobs(stage("one thread", 3, count=1), core, SINGLE, TORCH_PEERS),
        layer_jobs(stage("growth", 2), growth, both, TORCH_PEERS),
        _overhead(1),
    ]


def quick(threads: int) -> list[Stage]:
    """What `make bench-quick` measures: some layers of every kind, and three nets."""
    layers = Stage("layers", threads, "default", 6, [])
    nets = Stage("nets", threads, "default", 3, [])
    return [
        layer_jobs(layers, cases.select(cases.QUICK), SINGLE, BOTH_LAYOUTS),
        net_jobs(nets, (("lenet5", 32), ("cifar_net", 32), ("resnet18", 32)), (64,)),
        _overhead(1),
    ]
