"""The table of what is asked of each kind of layer, on made-up figures."""

import pytest

from benchmarks.harness import cases
from benchmarks.report import asked


def row(shape: str, direction: str, last: float | None = None, **ratios: float) -> dict:
    entries = {"fastconv": {"median": 0.001}}
    entries |= {peer: {"median": 0.001 * ratio, "ratio": ratio} for peer, ratio in ratios.items()}
    if last:
        entries["fastconv_channels_last"] = {"median": 0.001 * last, "ratio": last}
    return {"stage": "layers", "case": shape, "shape": shape, "direction": direction,
            "dtype": "float32", "noisy": False, "contenders": entries}  # fmt: skip


POINTWISE = "8x64x28x28 -> 256, 1x1"


@pytest.fixture
def result() -> dict:
    rows = [
        row(POINTWISE, "forward", 0.5, eager=2.0, channels_last=1.0),
        row("8x64x28x28 -> 64, 1x1", "forward", 2.0, eager=0.8, channels_last=1.6),
        row("8x64x56x56, max 3x3, stride 2, padding 1", "backward_input", eager=3.0),
    ]
    return {"rows": rows, "machine": {}, "missing": 0}


def test_best_against_best(result):
    fast_last, slow_last, pool = result["rows"]
    assert asked.best(fast_last) == 2.0  # channels_last of both: 1.0 / 0.5
    assert asked.best(slow_last) == 0.8 and asked.best(pool) == 3.0
    assert asked.in_layout(fast_last, "channels_last") == 2.0
    assert asked.in_layout(slow_last, "eager") == 0.8
    assert asked.in_layout(pool, "channels_last") is None


def test_the_table_and_the_rows_below_their_floor(result):
    lines = asked.table(result).splitlines()[2:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells == [
        ["1x1, stride 1 and 2", "2", "0.95", "0.80", "1.26 (1.15)", "1"],
        ["max pooling", "1", "1", "3.00", "3.00 (1.3)", "0"],
    ]
    assert list(asked.below(result)) == ["1x1, stride 1 and 2"]
    assert asked.listed(result) == "* 1x1, stride 1 and 2: 8x64x28x28 -> 64, 1x1 forward 0.80."


def test_bfloat16_is_asked_by_machine(result):
    by_name = {kind.name: kind.floor for kind in asked.kinds(result)}
    result["machine"]["avx512_bf16"] = True
    assert by_name["bfloat16"] == 2.0
    assert {k.name: k.floor for k in asked.kinds(result)}["bfloat16"] == 0.95


def test_every_group_of_layers_is_of_one_kind():
    """As the layers of the benchmark are written in a result."""
    for case in cases.all_cases():
        made = row(cases.shape_text(case), "forward", eager=1.0)
        assert asked.group_of(made["shape"]) == cases.group(case), case.name
        assert sum(kind.takes(made) for kind in asked.KINDS) == 1, case.name
    core = {cases.group(case) for case in cases.select(cases.CORE)}
    assert core == {cases.group(case) for case in cases.all_cases()}
