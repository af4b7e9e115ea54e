"""Measures fastconv beside its peers.

    make bench                                         all that is reported, within 20 minutes
    make bench-quick                                   some of it, within 2 minutes
    python -m benchmarks.bench --list                  the cases
    python -m benchmarks.bench --cases 'resnet18.*' --directions autograd --peers eager jax
    python -m benchmarks.bench --stages nets overhead  parts of the usual plan

Rows are kept in runs/bench/ as they come: Ctrl-C loses none, and the same command goes on where it
stopped, as long as the code is the same; when nothing is missing it starts anew, as with --fresh.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

from benchmarks.harness import cases, machine, plan, results, stages
from benchmarks.harness.problems import CONV_DIRECTIONS
from benchmarks.peers import OURS, PEERS
from benchmarks.report import asked, tables

MINUTES, QUICK_MINUTES = 19, 1.7  # the rest is for starting processes and finishing a last row


def parser() -> argparse.ArgumentParser:
    shown = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("benchmarks.bench", description=__doc__, formatter_class=shown)
    made.add_argument("--list", action="store_true", help="print the cases and stop")
    made.add_argument("--quick", action="store_true", help="a part of the plan, in 2 minutes")
    made.add_argument("--stages", nargs="+", metavar="NAME", help="these stages of the plan only")
    made.add_argument("--minutes", type=float, help=f"time for it all (default {MINUTES})")
    made.add_argument("--fresh", action="store_true", help="forget rows measured before")
    made.add_argument("--out", type=Path, help="result file (default: in benchmarks/results/)")
    own = made.add_argument_group("instead of the plan, every combination of")
    own.add_argument("--cases", nargs="+", metavar="GLOB", help="layers, such as 'vgg16.*'")
    own.add_argument("--batch", nargs="+", type=int, help="images (default: each layer's own)")
    own.add_argument("--directions", nargs="+", choices=CONV_DIRECTIONS, default=plan.SINGLE)
    peers = [name for name in PEERS if name != OURS]
    own.add_argument("--peers", nargs="+", choices=peers, default=plan.TORCH_PEERS)
    own.add_argument("--threads", nargs="+", type=int, default=[2])
    types = ("float32", "float64", "bfloat16", "float16")
    own.add_argument("--dtypes", nargs="+", choices=types, default=["float32"])
    own.add_argument("--malloc", nargs="+", choices=plan.MALLOC, default=["default"])
    return made


def planned_stages(options: argparse.Namespace) -> list[plan.Stage]:
    """
    Raises:
        ValueError: cases or stages that do not exist.
    """
    if options.cases:
        chosen = cases.select(options.cases)
        if options.batch:
            chosen = [cases.resized(case, N) for case in chosen for N in options.batch]
        how = (chosen, options.directions, options.peers, options.dtypes)
        return [
            plan.layer_jobs(plan.Stage("layers", threads, malloc, 1, []), *how)
            for threads in options.threads
            for malloc in options.malloc
        ]
    threads = min(2, os.cpu_count() or 1)
    planned = (plan.quick if options.quick else plan.full)(threads)
    if options.stages:
        unknown = set(options.stages) - {stage.name for stage in planned}
        if unknown:
            known = ", ".join(stage.name for stage in planned)
            raise ValueError(f"no stage {', '.join(sorted(unknown))}: the plan has {known}")
        planned = [stage for stage in planned if stage.name in options.stages]
    return planned


def wrong_rows(rows: list[dict]) -> list[str]:
    """Rows in which fastconv's results are not those of float64."""
    return [
        " ".join(map(str, results.key(row)))
        for row in rows
        if row.get("contenders", {}).get(OURS, {}).get("wrong")
    ]


def main(arguments: list[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(arguments)
    if options.list:
        for case in cases.all_cases():
            print(f"{case.name:38}{cases.shape_text(case)}")
        return 0
    try:
        planned = planned_stages(options)
    except ValueError as error:
        made.error(str(error))
    planned = [stage for stage in planned if stage.jobs]
    own = bool(options.cases or options.stages)
    ids = json.dumps([plan.job_id(job) for stage in planned for job in stage.jobs])
    name = hashlib.sha1(ids.encode()).hexdigest()[:8] if own else ("quick" if options.quick else "")
    journal = stages.JOURNALS / f"{machine.code_id()}{'-' if name else ''}{name}.jsonl"
    journal.parent.mkdir(parents=True, exist_ok=True)
    if options.fresh or not stages.collect(planned, journal, options.quick)["missing"]:
        journal.unlink(missing_ok=True)
    minutes = options.minutes or (QUICK_MINUTES if options.quick else MINUTES)
    finished = stages.run_all(planned, journal, minutes)
    result = stages.collect(planned, journal, options.quick or own)
    about = result["machine"]
    stem = f"bench-{result['finished'][:10]}-{about['commit']}-{about['isa']}"
    # Parts of the plan and dirty trees are for the one who looks, not for the repository.
    folder = stages.JOURNALS if own or options.quick else results.FOLDER
    path = options.out or folder / f"{stem}.json"
    results.save(result, path)
    path.with_suffix(".md").write_text(asked.markdown(result))
    print(tables.summary(result))
    print("\nBest against best:\n" + asked.table(result))
    print(f"\n{path} and {path.with_suffix('.md').name}: {len(result['rows'])} rows")
    if result["missing"]:
        print(f"{result['missing']} rows are not measured: the same command goes on from here")
    wrong = wrong_rows(result["rows"])
    for line in wrong:
        print(f"WRONG RESULT: {line}")
    return 1 if wrong else 0 if finished else 130


if __name__ == "__main__":
    sys.exit(main())
