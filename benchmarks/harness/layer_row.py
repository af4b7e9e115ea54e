"""Measures one layer in one direction: correctness, times, ratios, share of the roofline."""

import time
from functools import lru_cache
from pathlib import Path

import torch

import fastconv
from benchmarks import peers
from benchmarks.harness import cases, gate, problems, roofline
from benchmarks.harness.timing import Measurement, measure

KINDS = {kind.__name__: kind for kind in (cases.ConvCase, cases.PoolCase, cases.AdaptiveCase)}
LAST = "fastconv_channels_last"
MEMORY_SHARE = 0.6  # of the free memory that a row may take
MEASURED_SHARE = 0.7  # of a row's seconds; the rest is for tensors, references and warm-up


def packed(case: cases.Case) -> list:
    """A case for a JSON file."""
    return [type(case).__name__, *case]


def unpacked(fields: list) -> cases.Case:
    kind, *rest = fields
    return KINDS[kind](*(tuple(f) if isinstance(f, list) else f for f in rest))


@lru_cache(maxsize=1)  # the directions of a layer come one after another
def problem_of(case: cases.Case, dtype: torch.dtype) -> peers.Problem:
    return problems.of(case, dtype)


def explained(
    problem: problems.ConvProblem, direction: str, layout: torch.memory_format
) -> dict[str, str]:
    """What fastconv.explain says of a convolution, for each direction that `direction` consists of;
    {} where it is left to torch.
    """
    x, w = (t.contiguous(memory_format=layout) for t in (problem.x, problem.w))
    told = fastconv.explain(x, w, problem.bias, *problem.args)
    return {d: said for d, said in told.items() if d in problem.directions
            and direction in (d, "autograd")}  # fmt: skip


def path_of(
    problem: peers.Problem, direction: str, layout: torch.memory_format = torch.contiguous_format
) -> str | None:
    """The kernel of fastconv that takes a convolution, as fastconv.explain names it."""
    if not isinstance(problem, problems.ConvProblem):
        return None
    told = explained(problem, direction, layout)
    names = [said.split(",")[0] for said in told.values()]
    return " ".join(dict.fromkeys(names)) if names else "torch"


def free_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024


def head(job: dict) -> dict:
    """What a row says of its job."""
    case = unpacked(job["case"])
    row = {"kind": job["case"][0], "case": case.name, "shape": cases.shape_text(case)}
    row |= {name: job[name] for name in ("stage", "direction", "dtype", "threads", "malloc")}
    return row | {"group": cases.group(case), "at": time.strftime("%Y-%m-%d %H:%M:%S")}


def measure_layer(job: dict, peaks: dict, seconds: float) -> dict:
    """A row of the result; with "left_out" instead of figures where it takes too much memory."""
    case, dtype = unpacked(job["case"]), getattr(torch, job["dtype"])
    direction, names = job["direction"], [peers.OURS, *job["peers"]]
    row = head(job)
    elements = case.N * (case.IH * case.IW * (case[2] + getattr(case, "OC", case[2])))
    if elements * dtype.itemsize * (2 + 2 * len(names)) > MEMORY_SHARE * free_bytes():
        return row | {"left_out": "too little memory"}
    problem = problem_of(case, dtype)
    row |= {"flop": problem.flop(direction), "bytes": problem.bytes(direction)}
    path = path_of(problem, direction)
    if path:
        row |= {"path": path, "effective": "winograd" in path}
        if LAST in names:
            row["path_channels_last"] = path_of(problem, direction, torch.channels_last)
    checks, calls, entries, absent = list(problem.checks(direction)), {}, {}, {}
    for name in names:
        try:
            contender = peers.contender(name, problem, direction)
        except peers.Unavailable as reason:
            absent[name] = str(reason)
            continue
        of_layout = row.get("path_channels_last") if name == LAST else path
        share, right = gate.error(contender, checks, gate.allowance(name, of_layout))
        entries[name] = {"error": share}
        if right:
            calls[name] = contender.call
        else:
            entries[name]["wrong"] = True
    row |= {"contenders": entries, "absent": absent}
    if peers.OURS not in calls:
        return row
    before = _answer(job["threads"])
    row |= _timed(measure(calls, seconds * MEASURED_SHARE), entries, row, peaks)
    if before is not None:
        row["answer"] = max(before, _answer(job["threads"]))
    return row


def _answer(threads: int) -> float | None:
    """Seconds that one of two threads takes to answer the other."""
    meter = roofline.answer_meter() if threads > 1 else None
    return min(meter(), meter()) if meter else None


def _timed(measured: Measurement, entries: dict, row: dict, peaks: dict) -> dict:
    """Adds times to the entries; returns what belongs to the row as a whole."""
    for name in measured.times:
        median, low, high = measured.seconds(name)
        entries[name] |= {"median": median, "low": low, "high": high}
        entries[name]["faults"] = measured.faults[name]
        if name != peers.OURS:
            ratio, low, high = measured.ratio(name, peers.OURS)
            entries[name] |= {"ratio": ratio, "ratio_low": low, "ratio_high": high}
    facts = {"rounds": len(measured.times[peers.OURS])}
    facts |= {"repeats": measured.repeats, "noisy": measured.noisy}
    least = roofline.least_seconds(row["flop"], row["bytes"], row["dtype"], peaks)
    if least:
        facts |= {"least": least[0], "bound": least[1]}
        for name in measured.times:
            entries[name]["roofline"] = least[0] / entries[name]["median"]
    return facts
