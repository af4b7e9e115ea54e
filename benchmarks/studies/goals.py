"""What was asked of Winograd's speed, and what it is.

python -m benchmarks.studies.goals    six minutes, alone on the machine; writes
                              benchmarks/results/goals-<date>-<isa>.md and .json

The figures that were asked for had been measured on a CPU with AVX2. To have torch and fastconv
leave AVX-512 aside: ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 FASTCONV_ISA=avx2.
"""

import sys
from typing import NamedTuple

from benchmarks.harness import cases, plan, results, stages
from benchmarks.report import page, tables

MINUTES = 8


class Goal(NamedTuple):
    """`each`: torch NCHW / fastconv that every layer should reach, by direction; `mean`: the
    geometric means against NCHW, and with tuned malloc against the fastest of torch.
    """

    layers: str
    patterns: tuple[str, ...]
    each: dict[str, float]
    mean: dict[str, tuple[float, float]] = {}
    batch: int | None = None


def _by_direction(*values):
    return dict(zip(tables.DIRECTIONS, values, strict=False))


GOALS = (
    Goal(
        "3x3, 64 to 512 channels, maps 14 to 112",
        ("vgg16.conv[3-9]", "vgg16.conv11", "resnet18.layer1.0.conv1",
         "resnet18.layer[23].0.conv2", "vgg16@32.conv[2-4]"),
        _by_direction(2.7, 2.3, 3.0),
        _by_direction((3.2, 2.7), (2.8, 2.4), (4.0, 3.5)),
    ),
    Goal("3x3, 512 channels, 7x7", ("resnet18.layer4.0.conv2",), _by_direction(2.5, 2.2, 3.5)),
    Goal("3x3, 16 and 32 channels", ("* channels 3x3",), _by_direction(2.0, 1.8, 1.7)),
    Goal("5x5", ("alexnet.conv2", "mnist_cnn.conv2"), _by_direction(1.9, 1.9)),
    Goal(
        "3x3, one image, 64 to 256 channels",
        ("vgg16.conv[3-6]", "resnet18.layer1.0.conv1", "resnet18.layer[23].0.conv2"),
        _by_direction(2.0),
        batch=1,
    ),
)  # fmt: skip
MORE = ("vgg16.conv2", "vgg16@32.conv5")  # measured beside them: maps of 224 and 8
METHOD = """\
Ratios are time of torch / time of fastconv. Each: torch NCHW, glibc's default malloc; the least of
the layers, and how many reach what was asked. Mean: geometric, against torch NCHW with default
malloc, and against the fastest of torch's NCHW and channels_last with tuned malloc."""


def planned_stages(threads: int) -> list[plan.Stage]:
    chosen = cases.select([p for goal in GOALS if not goal.batch for p in goal.patterns] + [*MORE])
    made = [
        plan.layer_jobs(plan.Stage("layers", threads, malloc, 5, []), chosen, plan.SINGLE,
                        plan.TORCH_PEERS)
        for malloc in ("default", "tuned")
    ]  # fmt: skip
    for goal in (goal for goal in GOALS if goal.batch):
        few = [cases.resized(case, goal.batch) for case in cases.select(goal.patterns)]
        stage = plan.Stage("batches", threads, "default", 1, [])
        made.append(plan.layer_jobs(stage, few, tuple(goal.each), plan.TORCH_PEERS))
    return made


def rows_of(result: dict, goal: Goal, direction: str, malloc: str) -> list[dict]:
    names = {case.name for case in cases.select(goal.patterns)}
    stage = "batches" if goal.batch else "layers"
    return [row for row in tables.of_stage(result, stage)
            if (row["direction"], row["malloc"]) == (direction, malloc)
            and row["case"] in names]  # fmt: skip


def table(result: dict) -> str:
    lines = []
    for goal in GOALS:
        for direction, asked in goal.each.items():
            rows = rows_of(result, goal, direction, "default")
            found = [tables.eager(row) for row in rows]
            reached = f"{sum(ratio >= asked for ratio in found)} of {len(found)}"
            line = [goal.layers, direction, f"{asked}", tables.number(min(found, default=None)),
                    reached]  # fmt: skip
            tuned = rows_of(result, goal, direction, "tuned")
            means = (
                tables.geometric_mean(found),
                tables.geometric_mean(map(tables.fastest, tuned)),
            )
            for wanted, mean in zip(goal.mean.get(direction, ("", "")), means, strict=True):
                line += [str(wanted), tables.number(mean)]
            lines.append(line)
    headers = ["layers", "direction", "each: asked", "least", "reach it",
               "mean: asked", "measured", "fastest, tuned: asked", "measured"]  # fmt: skip
    return tables.table(lines, headers)


def main(arguments: list[str] | None = None) -> int:
    made = page.parser("goals", __doc__)
    made.add_argument("--minutes", type=float, default=MINUTES, help="(default %(default)s)")
    options = made.parse_args(arguments)
    planned = planned_stages(options.threads)
    journal = stages.JOURNALS / "goals.jsonl"
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.unlink(missing_ok=True)
    finished = stages.run_all(planned, journal, options.minutes)
    result = stages.collect(planned, journal, True) | {"threads": options.threads}
    text = table(result)
    print(text)
    parts = [METHOD, text, *tables.body(result)]
    path = page.write("goals", result, "Winograd: asked and measured", parts, options.out)
    results.save(result, path.with_suffix(".json"))
    print(path)
    return 0 if finished else 130


if __name__ == "__main__":
    sys.exit(main())
