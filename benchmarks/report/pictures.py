"""A result as pictures, drawn like those of fastconv.plots."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.harness import cases, problems
from benchmarks.peers import LABELS, OURS
from benchmarks.report import roofline_picture, tables
from benchmarks.report.small import FOLDER, write
from fastconv.plots.canvas import BLUE, GREY, INK, VERMILION, new_figure

# Okabe and Ito, told apart with any colour vision.
COLOURS = {
    OURS: BLUE,
    "eager": VERMILION,
    "channels_last": "#E69F00",
    "compile": "#CC79A7",
    "onnxruntime": "#009E73",
    "openvino": "#56B4E9",
    "jax": "#777777",
    "fastconv_channels_last": "#000000",
}
MARGIN = 1.25  # between the longest bar and the end of its axis


def label(name: str) -> str:
    return LABELS.get(name, name)


def draw(result: dict, folder: Path = FOLDER) -> list[Path]:
    """Writes the pictures that the result has rows for; their files."""
    drawn = []
    for name, picture in PICTURES.items():
        path = folder / f"{name}.png"
        if picture(result, path):
            drawn.append(path)
        else:
            path.unlink(missing_ok=True)
    return drawn


def _plain(axis: str, axes: Axes, values: Iterable[float]) -> None:
    """A logarithmic axis labelled with plain numbers, 1 2 5 10 20 ..."""
    low, high = min(values, default=0.5), max(values, default=2)
    steps = (1, 2, 5) if high < 500 * low else (1,)  # no room for more labels on a long axis
    ticks = [m * 10.0**e for e in range(-6, 9) for m in steps]
    shown = [t for t in ticks if low / 1.5 <= t <= high * 1.5]
    along = getattr(axes, f"{axis}axis")
    getattr(axes, f"set_{axis}scale")("log")
    along.set_ticks(shown)
    along.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    along.set_minor_formatter(NullFormatter())


def _bars(axes: Axes, rows: Sequence[dict], peers: Sequence[str], name: Callable) -> None:
    """A horizontal bar from 1 to the ratio for each row and peer, quartiles as whiskers.

    The bars alone set the limits of the axis: an arrow marks a whisker that goes on beyond them.
    """
    height = 0.8 / len(peers)
    limits = axis_limits(rows, peers)
    beyond = False
    for number, peer in enumerate(peers):
        at = [i + (number - (len(peers) - 1) / 2) * height for i in range(len(rows))]
        have = [(y, row["contenders"][peer]) for y, row in zip(at, rows, strict=True)
                if "ratio" in row["contenders"].get(peer, {})]  # fmt: skip
        if not have:
            continue
        ys = [y for y, _ in have]
        ratios = np.array([entry["ratio"] for _, entry in have])
        axes.barh(ys, ratios - 1, height, left=1, color=COLOURS[peer])
        for side, end, arrow in (("low", limits[0], "<"), ("high", limits[1], ">")):
            quartiles = np.array([entry[f"ratio_{side}"] for _, entry in have])
            axes.hlines(ys, ratios, np.clip(quartiles, *limits), color=INK, linewidth=0.6)
            outside = [y for y, q in zip(ys, quartiles, strict=True) if q != np.clip(q, *limits)]
            if outside:
                ends = [end] * len(outside)
                axes.plot(ends, outside, arrow, color=INK, markersize=3, clip_on=False)
                beyond = True
    _plain("x", axes, limits)
    axes.set_xlim(*limits)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(range(len(rows)), [name(row) for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color=GREY, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    arrows = "\narrows: quartiles further out" if beyond else ""
    axes.set_xlabel(f"time / fastconv's: right of 1, fastconv is faster{arrows}")


def axis_limits(rows: Iterable[dict], peers: Iterable[str]) -> tuple[float, float]:
    """Room for 1 and every ratio of the peers, whatever their quartiles."""
    found = [row["contenders"].get(peer, {}).get("ratio", 1) for row in rows for peer in peers]
    return min(1, *found) / MARGIN, max(1, *found) * MARGIN


def _peers_in(rows: Sequence[dict]) -> list[str]:
    return [name for name in LABELS if any(name in tables.ratios(row) for row in rows)]


def _kinds(result: dict, path: Path) -> bool:
    """A dot for each layer, a bar for the geometric mean of its kind, a panel per direction."""
    rows = tables.of_stage(result, "layers")
    if not rows:
        return False
    groups = list(dict.fromkeys(row["group"] for row in rows))
    figure = new_figure(13, 1.7 + 0.42 * len(groups), "Time of torch / time of fastconv, by layer")
    panels = figure.subplots(1, len(tables.DIRECTIONS), sharey=True)
    for axes, direction in zip(panels, tables.DIRECTIONS, strict=True):
        here = [row for row in rows if row["direction"] == direction]
        shown = [1.0]
        for of, peer, shift in ((tables.eager, "eager", -0.17), (tables.fastest, None, 0.17)):
            colour = COLOURS[peer or "channels_last"]
            for y, group in enumerate(groups):
                values = [v for r in here if r["group"] == group and (v := of(r)) is not None]
                mean = tables.geometric_mean(values)
                if mean is None:
                    continue
                axes.barh(y + shift, mean - 1, 0.3, left=1, color=colour, alpha=0.55)
                axes.plot(values, [y + shift] * len(values), ".", color=colour, markersize=5,
                          markeredgecolor=INK, markeredgewidth=0.3)  # fmt: skip
                shown += values
        _plain("x", axes, shown)
        axes.axvline(1, color=INK, linewidth=1)
        axes.set_yticks(range(len(groups)), groups)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.set_title(direction)
        axes.grid(axis="x", color=GREY, linewidth=0.4)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[1].set_xlabel("right of 1 fastconv is faster; bars: geometric means, dots: layers")
    names = {"eager": "torch NCHW", "channels_last": "faster of torch NCHW and channels_last"}
    _legend(figure, names)
    write(figure, path)
    return True


def _legend(figure: Figure, names: dict[str, str]) -> None:
    """Below everything: colour of a peer -> text."""
    keys = [Patch(color=COLOURS[name]) for name in names]
    texts = list(names.values())
    columns = max(1, int(figure.get_figwidth() / 1.9))  # of 1.9 inches each
    columns = min(len(texts), columns)
    figure.legend(keys, texts, loc="outside lower center", ncols=columns, frameon=False)


def _peers(result: dict, path: Path) -> bool:
    rows = tables.of_stage(result, "peers")
    directions = [d for d in problems.CONV_DIRECTIONS if any(row["direction"] == d for row in rows)]
    if not rows:
        return False
    most = max(sum(row["direction"] == d for row in rows) for d in directions)
    figure = new_figure(6.5 * len(directions), 1.8 + 0.62 * most, "Some layers beside every peer")
    panels = figure.subplots(1, len(directions), squeeze=False, sharey=True)[0]
    peers = _peers_in(rows)
    for axes, direction in zip(panels, directions, strict=True):
        here = [row for row in rows if row["direction"] == direction]
        _bars(axes, here, peers, lambda row: row["case"])
        axes.set_title("forward and backward" if direction == "autograd" else direction)
    _legend(figure, {peer: label(peer) for peer in peers})
    write(figure, path)
    return True


def _growth(result: dict, path: Path) -> bool:
    rows = {(r["case"], r["direction"]): r for r in tables.of_stage(result, "growth")}
    if not rows:
        return False
    kinds = {  # a line needs more than one point
        kind: chosen
        for kind, chosen in cases.GROWTH.items()
        if sum((case.name, "autograd") in rows for case in chosen) > 1
    }
    if not kinds:
        return False
    figure = new_figure(5 * len(kinds), 7.5, "How cost grows: 3x3 on 28 x 28 pixels")
    panels = figure.subplots(2, len(kinds), sharex="col", squeeze=False)
    for column, (kind, chosen) in zip(panels.T, kinds.items(), strict=True):
        for axes, direction in zip(column, ("forward", "autograd"), strict=True):
            for name in (OURS, "eager", "channels_last"):
                points = [
                    (int(case.name.split()[1]), row["contenders"][name])
                    for case in chosen
                    if (row := rows.get((case.name, direction)))
                    and "median" in row["contenders"].get(name, {})
                ]
                if points:
                    at = [extent for extent, _ in points]
                    axes.plot(at, [e["median"] * 1e3 for _, e in points], "o-", markersize=4,
                              color=COLOURS[name], label=label(name))  # fmt: skip
                    axes.fill_between(at, *([e[side] * 1e3 for _, e in points]
                                            for side in ("low", "high")),
                                      color=COLOURS[name], alpha=0.2, linewidth=0)  # fmt: skip
            axes.set_xscale("log", base=2)
            _plain("y", axes, axes.dataLim.intervaly)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.grid(color=GREY, linewidth=0.4)
            title = "forward and backward" if direction == "autograd" else direction
            axes.set(title=f"{title}: {GROWTH_TITLES[kind]}", ylabel="ms")
        column[-1].set_xlabel(kind)
    panels[0, 0].legend(fontsize=9)
    write(figure, path)
    return True


GROWTH_TITLES = {"batch": "64 channels, N images", "channels": "8 images, C to C channels"}


def _nets(result: dict, path: Path) -> bool:
    """Of every net the largest batch that was measured."""
    largest: dict[tuple, dict] = {}
    for row in tables.nets_of(result):
        kind = (row["mode"], row["net"], row["extent"])
        if kind not in largest or row["batch"] > largest[kind]["batch"]:
            largest[kind] = row
    modes = [m for m in ("training", "inference") if any(kind[0] == m for kind in largest)]
    if not modes:
        return False
    parts = [[row for kind, row in largest.items() if kind[0] == mode] for mode in modes]
    figure = new_figure(6.5 * len(modes), 1.8 + 0.5 * max(map(len, parts)), "Whole nets")
    panels = figure.subplots(1, len(modes), squeeze=False)[0]
    for axes, mode, rows in zip(panels, modes, parts, strict=True):
        _bars(axes, rows, _peers_in(rows), lambda r: f"{tables.net_name(r)}, batch {r['batch']}")
        axes.set_title({"training": "a training step", "inference": "an inference"}[mode])
    peers = _peers_in([row for rows in parts for row in rows])
    _legend(figure, {peer: label(peer) for peer in peers})
    write(figure, path)
    return True


PICTURES: dict[str, Callable[[dict, Path], bool]] = {
    "kinds": _kinds,
    "nets": _nets,
    "peers": _peers,
    "roofline": roofline_picture.draw,
    "growth": _growth,
}
