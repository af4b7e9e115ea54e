"""How far float32 results are from float64: Winograd, our direct kernels and torch.

python -m benchmarks.studies.accuracy    two minutes; writes
    benchmarks/results/accuracy-<date>-<isa>.md
"""

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks import peers
from benchmarks.harness import cases, problems
from benchmarks.harness.machine import pin
from benchmarks.report import page, tables

CHANNELS = (16, 32, 64, 128, 256, 512)
CHANNELS_5X5 = (32, 128, 512)
BATCH, EXTENT = 4, 28
DATA: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda t: t,
    "max(0, normal)": lambda t: t.relu(),
    "normal + 3": lambda t: t + 3,
}
CONVOLVED = {"forward": "x", "backward_input": "grad_y", "backward_weight": "x"}
METHOD = f"""\
Each cell: largest error over the largest exact number / root mean square of the errors over that of
the exact numbers. Exact is torch in float64 on the same numbers. {BATCH} images of {EXTENT} x
{EXTENT}, padding that keeps the extent, as many channels in as out. The data are those of x, in
backward_input of grad_y; all other tensors are normal."""


def problem_of(case: cases.ConvCase, data: str, direction: str) -> problems.ConvProblem:
    """In float32, with what the direction convolves distributed like the data."""
    problem = problems.ConvProblem(case, torch.float32)
    name = CONVOLVED[direction]
    setattr(problem, name, DATA[data](getattr(problem, name)))
    return problem


def in_float64(problem: problems.ConvProblem) -> problems.ConvProblem:
    """The same numbers."""
    wide = problems.ConvProblem(problem.case, torch.float64)
    for name in ("x", "w", "bias", "grad_y"):
        setattr(wide, name, getattr(problem, name).double())
    return wide


def torchs(problem: problems.ConvProblem, direction: str) -> Tensor:
    """y, grad_x or grad_w."""
    contender = peers.contender("eager", problem, direction)
    return contender.read(contender.call.run())[0]


def errors(case: cases.ConvCase, data: str, direction: str, threads: int) -> dict:
    """Who -> (largest, root mean square) of the errors, both relative."""
    problem = problem_of(case, data, direction)
    exact = torchs(in_float64(problem), direction)
    found = {path: peers.kernel(problem, direction, path, threads)()[0]
             for path in ("winograd", "direct")}  # fmt: skip
    found["torch"] = torchs(problem, direction)
    return {name: distance(result, exact) for name, result in found.items()}


def distance(result: Tensor, exact: Tensor) -> tuple[float, float]:
    error = result.double() - exact
    largest = error.abs().max() / exact.abs().max()
    return largest.item(), (error.norm() / exact.norm()).item()


def tables_of(rows: list[dict]) -> list[str]:
    """A table for each direction."""
    parts = []
    for direction in tables.DIRECTIONS:
        lines = []
        for row in (row for row in rows if row["direction"] == direction):
            case, pairs = row["case"], row["errors"].values()
            said = [f"{largest:.1e} / {rms:.1e}" for largest, rms in pairs]
            lines.append([f"{case.KH}x{case.KW}", str(case.IC), row["data"], *said])
        headers = ["filter", "channels", "data", "Winograd", "direct", "torch"]
        parts += [f"## {direction}", tables.table(lines, headers)]
    return parts


def main(arguments: list[str] | None = None) -> None:
    made = page.parser("accuracy", __doc__)
    made.add_argument("--channels", nargs="+", type=int, default=CHANNELS)
    options = made.parse_args(arguments)
    pin(options.threads)
    chosen = [cases.square(f"{C} channels", BATCH, C, EXTENT, K)
              for K, own in ((3, options.channels), (5, CHANNELS_5X5))
              for C in options.channels if C in own]  # fmt: skip
    jobs = [(c, data, direction)
            for c in chosen for data in DATA for direction in tables.DIRECTIONS]  # fmt: skip
    rows = []
    for case, data, direction in tqdm(jobs, unit="row", disable=None):
        found = errors(case, data, direction, options.threads)
        rows.append({"case": case, "data": data, "direction": direction, "errors": found})
    result = page.result(rows, options.threads)
    title = "Distance from float64, in float32"
    print(page.write("accuracy", result, title, [METHOD, *tables_of(rows)], options.out))


if __name__ == "__main__":
    main()
