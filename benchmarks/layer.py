"""Measures any layer: every direction, both memory layouts, every peer that is installed.

    python -m benchmarks.layer "8x64x28x28 -> 256, 3x3, padding 1"
    python -m benchmarks.layer "8x64x28x28 -> 64, 3x3/2, padding 1, depthwise"
    python -m benchmarks.layer "8x64x56x56, max 3x3, stride 2" --peers eager jax
    python -m benchmarks.layer "8x512x7x7, average to 1x1" --directions forward

Nothing is timed before its results have passed a comparison with float64. A ratio is the time of a
peer over the time of fastconv NCHW, the median over rounds in which all took turns, with quartiles;
above 1 fastconv is faster. Multiply-adds count real pixels only, not padding. The share of the FMA
peak is that of the multiply-adds that are done: for Winograd those of its products alone, and for
peers, which do not say what they do, those that are counted. Exits with 1 where a result of
fastconv is wrong, with 2 on a layer that cannot be read.
"""

import argparse
import os
import sys
import warnings

import torch

from benchmarks.harness import cases, layer_row, plan, problems, roofline, spec
from benchmarks.harness.machine import pin
from benchmarks.peers import LABELS, OURS, PEERS, Problem
from benchmarks.report import tables

SECONDS = 2.0  # for a direction, all peers together
NAMES = {OURS: "fastconv NCHW", **LABELS}
LAYOUTS = {OURS: torch.contiguous_format, "fastconv_channels_last": torch.channels_last}


def parser() -> argparse.ArgumentParser:
    shown = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("benchmarks.layer", description=__doc__, formatter_class=shown)
    made.add_argument("layer", help=f'such as "{spec.EXAMPLES[0]}"')
    made.add_argument("--directions", nargs="+", choices=problems.CONV_DIRECTIONS,
                      default=problems.CONV_DIRECTIONS)  # fmt: skip
    peers = [name for name in PEERS if name != OURS]
    made.add_argument("--peers", nargs="+", choices=peers, default=peers)
    made.add_argument("--dtype", choices=("float32", "float64", "bfloat16", "float16"),
                      default="float32")  # fmt: skip
    threads = min(2, os.cpu_count() or 1)
    made.add_argument("--threads", type=int, default=threads, help="(default %(default)s)")
    made.add_argument("--seconds", type=float, default=SECONDS,
                      help="for each direction (default %(default)s)")  # fmt: skip
    return made


def paths(problem: Problem, direction: str) -> list[str]:
    """A line for each direction and layout: the path of fastconv that runs, and its workspace."""
    lines = []
    for name, layout in LAYOUTS.items():
        told = layer_row.explained(problem, direction, layout)
        for part, said in (told or {direction: "torch, 0 bytes"}).items():
            path, *bytes_ = said.split(", ")
            lines.append(f"{NAMES[name]}, {part}: path {path}, workspace {', '.join(bytes_)}")
    return lines


def operations_done(problem: Problem, direction: str) -> dict[str, int]:
    """Contender of fastconv -> additions and multiplications that its paths do."""
    done = {}
    for name, layout in LAYOUTS.items():
        told = layer_row.explained(problem, direction, layout)
        done[name] = sum(
            problems.flop_done(problem.case, part, said.split(",")[0], problem.flop(part))
            for part, said in told.items()
        ) or problem.flop(direction)  # left to torch
    return done


def table(row: dict, done: dict[str, int], peaks: dict) -> str:
    """A line for each contender; `done`: operations that it does, where they are known."""
    lines = []
    peak = peaks["fma"].get(row["dtype"]) if row["kind"] == "ConvCase" else None
    for name, label in NAMES.items():
        entry = row["contenders"].get(name)
        if entry is None:
            continue
        if "median" not in entry:
            said = "wrong result" if "wrong" in entry else "not timed"
            lines.append([label, said, "", "", "", f"{entry['error']:.1e}"])
            continue
        ms = (1e3 * entry[end] for end in ("median", "low", "high"))
        ratio = [entry[end] for end in ("ratio", "ratio_low", "ratio_high")] if name != OURS else []
        share = done.get(name, row["flop"]) / entry["median"] / peak if peak else None
        lines.append([
            label, tables.with_quartiles(*ms, digits=3),
            tables.with_quartiles(*ratio) if ratio else "1",
            f"{row['flop'] / entry['median'] / 1e9:.3g}",
            "" if share is None else f"{share:.0%}",
            f"{entry['error']:.1e}",
        ])  # fmt: skip
    headers = ["", "ms", "time / fastconv NCHW", "GFLOP/s", "of FMA peak", "error"]
    return tables.table(lines, headers)


def main(arguments: list[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(arguments)
    try:
        case = spec.parse(options.layer)
    except spec.SpecError as error:
        made.error(str(error))
    stage = plan.Stage("layer", options.threads, "default", 1, [])
    jobs = plan.layer_jobs(stage, [case], options.directions, options.peers, [options.dtype]).jobs
    if not jobs:
        made.error(f"this layer has no {' and no '.join(options.directions)}")
    warnings.filterwarnings("ignore")  # those of torch.compile
    pin(options.threads)
    peaks = roofline.measure_peaks(options.threads)
    print(heading(case, options, peaks))
    wrong, absent = False, {}
    for job in jobs:
        row = layer_row.measure_layer(job, peaks, options.seconds)
        print(f"\n{section(case, row, peaks)}", flush=True)
        absent |= row.get("absent", {})
        wrong |= "wrong" in row.get("contenders", {}).get(OURS, {})
    if absent:
        print("\nNot measured: " + "; ".join(f"{LABELS[n]}: {why}" for n, why in absent.items()))
    return 1 if wrong else 0


def heading(case: cases.Case, options: argparse.Namespace, peaks: dict) -> str:
    rates = peaks["fma"].get(options.dtype)
    peak = f"{rates / 1e9:.0f} GFLOP/s" if rates else peaks.get("why", "not measured")
    threads = f"{options.threads} thread{'s' * (options.threads > 1)}"
    return f"{cases.shape_text(case)}; {options.dtype}, {threads}, FMA peak {peak}"


def section(case: cases.Case, row: dict, peaks: dict) -> str:
    """What is said of one direction."""
    direction = row["direction"]
    if "left_out" in row:
        return f"{direction}: {row['left_out']}"
    noisy = ", noisy" if row.get("noisy") else ""
    if not isinstance(case, cases.ConvCase):
        title = f"{direction}: {row['flop']:,} additions or comparisons{noisy}"
        return f"{title}\n{table(row, {}, peaks)}"
    problem = layer_row.problem_of(case, getattr(torch, row["dtype"]))
    title = f"{direction}: {row['flop'] // 2:,} multiply-adds{noisy}"
    text = table(row, operations_done(problem, direction), peaks)
    return "\n".join([title, *paths(problem, direction), text])


if __name__ == "__main__":
    sys.exit(main())
