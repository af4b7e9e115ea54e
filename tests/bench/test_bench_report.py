"""Results of the benchmarks: comparison, tables, pictures, the README, on made-up figures."""

import json
import math
import random

import pytest
from bench_jobs import PEAKS
from matplotlib.figure import Figure

from benchmarks import compare, peers
from benchmarks.harness import cases, commits, layer_row, nets, plan, results
from benchmarks.report import pictures, roofline_picture, small, tables
from benchmarks.report import readme as report
from benchmarks.studies import goals

PEAK = PEAKS | {"stage": "layers", "malloc": "default"}


def made_result(planned: list[plan.Stage], seed: int = 0) -> dict:
    """A result with invented figures: torch takes 0.5 to 8 times as long."""
    chance = random.Random(seed)
    rows = []
    for job in (job for stage in planned for job in stage.jobs):
        if job["kind"] == "overhead":
            continue
        is_net = job["kind"] == "net"
        row = (nets if is_net else layer_row).head(job)
        row |= {"noisy": chance.random() < 0.05, "rounds": 20, "repeats": 0, "absent": {}}
        work = 1e6
        if is_net:
            work = plan.step_flop(job["net"], job["extent"], job["batch"], job["mode"])
        else:
            case = layer_row.unpacked(job["case"])
            work = max(cases.forward_flop(case), 1e5)
            moved = 4 * (case.N * case[2] * case.IH * case.IW + work**0.5)
            row |= {"flop": work, "bytes": moved, "path": "direct"}
            row["effective"] = "3x3, 64" in row["group"]
        seconds = work / 6e10 + 2e-5
        row["contenders"] = {peers.OURS: _made_entry(seconds, 1, row)}
        for peer in job["peers"]:
            ratio = math.exp(chance.gauss(0.7, 0.5))
            row["contenders"][peer] = _made_entry(seconds, ratio, row)
        rows.append(row)
    about = {"cpu": "Made-up CPU", "cpus": 2, "isa": "avx2", "torch": "2.0", "commit": "abc1234"}
    return {"format": results.FORMAT, "machine": about, "finished": "2025-01-02 03:04:05",
            "quick": False, "malloc": {}, "peaks": [PEAK], "missing": 0, "rows": rows}  # fmt: skip


def _made_entry(seconds: float, ratio: float, row: dict) -> dict:
    entry = {"median": seconds * ratio, "low": 0.95 * seconds * ratio, "error": 1e-6, "faults": 3.0}
    entry["high"] = 1.05 * seconds * ratio
    if ratio != 1:
        entry |= {"ratio": ratio, "ratio_low": 0.95 * ratio, "ratio_high": 1.05 * ratio}
    if "net" in row:
        shares = {"conv": 0.6, "pool": 0.1, "rest": 0.3}
        entry |= {"images_per_second": row["batch"] / entry["median"], "memory": 2e8}
        entry["shares"] = shares
    else:
        entry["roofline"] = 0.4 / ratio
    return entry


@pytest.fixture(scope="module")
def made() -> dict:
    return made_result(plan.quick(2))


def _saved(result: dict, path):
    results.save(result, path)
    return str(path)


def _slowed(result: dict, name: str, factor: float) -> dict:
    """The same, with torch's ratio of the rows of one case divided by a factor."""
    changed = json.loads(json.dumps(result))
    for row in changed["rows"]:
        if row.get("case") == name:
            for side in ("ratio", "ratio_low", "ratio_high"):
                row["contenders"]["eager"][side] /= factor
    return changed


def test_compare_exits_with_1_when_something_became_slower(made, tmp_path, capsys):
    old = _saved(made, tmp_path / "old.json")
    new = _saved(_slowed(made, "lenet5.conv1", 1.5), tmp_path / "new.json")
    assert compare.main([old, old]) == 0
    assert compare.main([new, old]) == 0
    assert compare.main([old, new]) == 1
    assert "lenet5.conv1" in capsys.readouterr().out
    assert compare.main([old, new, "--share", "0.6"]) == 0


def test_runs_of_a_commit_come_together(made):
    runs = [_slowed(made, "lenet5.conv1", factor)["rows"] for factor in (2, 1, 4)]
    together = {results.key(row): row for row in commits.merged(runs)}
    assert list(together) == [results.key(row) for row in runs[0]]
    for slow, row, fast in zip(runs[2], runs[0], runs[1], strict=True):
        theirs = together[results.key(row)]["contenders"]["eager"]
        assert theirs["ratio"] == row["contenders"]["eager"]["ratio"]
        assert theirs["ratio_low"] == slow["contenders"]["eager"]["ratio_low"]
        assert theirs["ratio_high"] == fast["contenders"]["eager"]["ratio_high"]


def test_compare_tells_means_by_direction(made, tmp_path, capsys):
    slowed = json.loads(json.dumps(made))
    for row in slowed["rows"]:
        if row.get("direction") == "forward":
            row["contenders"]["eager"]["ratio"] /= 1.5
    old, new = _saved(made, tmp_path / "old.json"), _saved(slowed, tmp_path / "new.json")
    compare.main([old, new])
    lines = capsys.readouterr().out.splitlines()
    means = {line.split(":")[0]: line for line in lines if "geometric mean" in line}
    assert "relative time 1.500, each 1.50 to 1.50" in means["forward"]
    assert "relative time 1.000, each 1.00 to 1.00" in means["backward_weight"]


def test_compare_needs_quartiles_apart(made, tmp_path):
    close = _slowed(made, "lenet5.conv1", 1.08)
    old, new = _saved(made, tmp_path / "old.json"), _saved(close, tmp_path / "new.json")
    assert compare.main([old, new, "--share", "0.05"]) == 0


def test_compare_refuses_wrong_files(made, tmp_path, capsys):
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert compare.main([str(other), str(other)]) == 2
    assert compare.main([str(tmp_path / "none.json")] * 2) == 2
    assert "none.json" in capsys.readouterr().err
    nothing = _saved(made | {"rows": []}, tmp_path / "nothing.json")
    assert compare.main([nothing, nothing]) == 1


def test_journal_survives_a_line_cut_short(tmp_path):
    path = tmp_path / "journal.jsonl"
    entries = [{"peaks": PEAK}, {"id": "a", "row": {"x": 1}}]
    path.write_text("\n".join(map(json.dumps, entries)) + '\n{"id": "b", "ro')
    assert results.read_journal(path) == ({"a": {"x": 1}}, [PEAK])


def test_report_renders_a_result(made, tmp_path, capsys):
    result = _saved(made, tmp_path / "bench-made.json")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    arguments = [result, "--readme", str(readme), "--pictures", str(tmp_path / "pictures"),
                 "--results", str(tmp_path)]  # fmt: skip
    assert report.main(arguments) == 0
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "Made-up CPU" in text
    drawn = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {"kinds", "nets", "roofline"}
    full = (tmp_path / "bench-made.md").read_text()
    # Three directions, each in two layouts.
    assert full.count("| lenet5.conv1 ") == 6 and "effective" in full
    assert report.main(arguments) == 0 and readme.read_text() == text
    readme.write_text("no comments")
    assert report.main(arguments) == 1


def test_the_claim_is_a_table_of_comparisons():
    """What it counts, its means and its extremes, computed again from the rows."""
    made = made_result([stage for stage in plan.full(2) if stage.name in ("layers", "malloc")])
    text = report.claim(made)
    assert text.split("|")[0].count(". ") == 1  # two sentences
    head, _, *lines = [[cell.strip() for cell in line.split("|")[1:-1]]
                       for line in text.splitlines() if line.startswith("|")]  # fmt: skip
    assert head[:4] == ["compared with", "rows", "fastconv faster", "geometric mean"]
    layers, tuned = (tables.of_stage(made, stage) for stage in ("layers", "malloc"))
    names = {(row["case"], row["direction"]) for row in tuned}
    large = [row for row in layers if (row["case"], row["direction"]) in names]
    assert large and len(large) == len(tuned) < len(layers)
    wanted = [(layers, ("eager",)), (layers, ("eager", "channels_last")), (large, ("eager",)),
              (tuned, ("eager",))]  # fmt: skip
    assert len(lines) == len(wanted)
    for line, (rows, sides) in zip(lines, wanted, strict=True):
        least = [min(row["contenders"][side]["ratio"] for side in sides) for row in rows]
        mean = math.exp(sum(map(math.log, least)) / len(least))
        assert line[1:4] == [str(len(rows)), str(sum(r > 1 for r in least)), f"{mean:.2f}"]
        assert line[4].startswith(f"{max(least):.2f} ") and line[5].startswith(f"{min(least):.2f} ")
        assert line[6] == str(sum(row["noisy"] for row in rows))


def test_a_result_without_tuned_malloc_or_layers_is_claimed_as_such(made):
    assert report.claim(made).count("torch, NCHW") == 1
    assert report.claim(made | {"missing": 3}).count("(3 rows of the plan are missing)") == 1
    assert report.claim(made | {"rows": []}) == "The newest result has no layers."


def test_the_newest_full_result_is_reported(made, tmp_path):
    with pytest.raises(results.ResultError, match="make bench"):
        results.newest(tmp_path)
    for day, quick in ((3, False), (5, False), (4, False), (9, True)):
        dated = made | {"finished": f"2025-01-0{day} 00:00:00", "quick": quick}
        results.save(dated, tmp_path / f"bench-{9 - day}.json")
    assert results.newest(tmp_path) == tmp_path / "bench-4.json"


def test_every_picture_has_rows_in_the_full_plan():
    stages = {stage.name for stage in plan.full(2)}
    assert set(tables.STAGES) | {"nets", "overhead"} == stages
    assert set(report.LINKED) | {"kinds"} == {*pictures.PICTURES, "paths"}


def test_committed_pictures_are_small_and_those_of_the_report():
    files = {path.stem: path.stat().st_size for path in small.FOLDER.iterdir()}
    assert set(files) == {*pictures.PICTURES, "paths"}
    assert max(files.values()) <= small.MOST_BYTES


def test_an_outlying_quartile_does_not_stretch_the_axis():
    rows = [{"contenders": {"eager": {"ratio": ratio, "ratio_low": 0.01, "ratio_high": 900.0}}}
            for ratio in (0.5, 4.0)]  # fmt: skip
    low, high = pictures.axis_limits(rows, ["eager", "jax"])
    assert (low, high) == (0.5 / pictures.MARGIN, 4.0 * pictures.MARGIN)
    axes = Figure().subplots()
    pictures._bars(axes, rows, ["eager"], lambda row: "a row")
    assert axes.get_xlim() == pytest.approx((low, high))
    arrows = {line.get_marker(): list(line.get_xdata()) for line in axes.lines}
    assert arrows["<"] == [low] * 2 and arrows[">"] == [high] * 2
    assert "arrows" in axes.get_xlabel()


def test_no_point_of_fastconv_lies_above_the_roof():
    """Of the newest committed result, whose counted rates of Winograd are twice the FMA peak."""
    result = results.load(results.newest())
    peak = next(p for p in result["peaks"] if p["stage"] == "layers")
    rows = [r for r in tables.of_stage(result, "layers") if r["kind"] == "ConvCase"]
    points = [roofline_picture.point_of(row, peers.OURS) for row in rows]
    assert max(rate for _, rate, _ in points) <= peak["fma"]["float32"]
    counted = [row["flop"] / row["contenders"][peers.OURS]["median"] for row in rows]
    assert max(counted) > 2 * peak["fma"]["float32"]
    colours = [colour for _, _, colour in points]
    assert colours.count(roofline_picture.WINOGRAD) == [r["path"] for r in rows].count("winograd")


def test_geometric_mean():
    assert tables.geometric_mean([2, None, 8]) == pytest.approx(4)
    assert tables.geometric_mean([None]) is None


def test_goals_are_judged_by_the_least_row_and_by_means():
    result = made_result(goals.planned_stages(2))
    for goal in goals.GOALS:
        for direction in goal.each:
            mallocs = ("default",) if goal.batch else ("default", "tuned")
            counts = {len(goals.rows_of(result, goal, direction, m)) for m in mallocs}
            assert counts == {len(cases.select(goal.patterns))}
    lines = [[cell.strip() for cell in line.split("|")[1:-1]]
             for line in goals.table(result).splitlines()[2:]]  # fmt: skip
    assert len(lines) == sum(len(goal.each) for goal in goals.GOALS)
    first = goals.rows_of(result, goals.GOALS[0], "forward", "default")
    ratios = [row["contenders"]["eager"]["ratio"] for row in first]
    reached = sum(ratio >= 2.7 for ratio in ratios)
    mean = math.prod(ratios) ** (1 / len(ratios))
    assert lines[0][2:7] == ["2.7", f"{min(ratios):.2f}", f"{reached} of {len(ratios)}",
                             "3.2", f"{mean:.2f}"]  # fmt: skip


def test_the_page_of_goals(tmp_path, monkeypatch):
    monkeypatch.setattr(goals.stages, "JOURNALS", tmp_path / "journals")
    monkeypatch.setattr(goals.stages, "run_all", lambda planned, journal, minutes: True)
    monkeypatch.setattr(
        goals.stages, "collect", lambda planned, journal, quick: made_result(planned)
    )
    assert goals.main(["--out", str(tmp_path)]) == 0
    (page,) = tmp_path.glob("goals-*.md")
    assert "3x3, 16 and 32 channels" in page.read_text() and "resnet18.layer1" in page.read_text()
    assert json.loads(page.with_suffix(".json").read_text())["rows"]
