"""A result as text: the full tables in Markdown, and summaries of them.

Ratios are peer / fastconv in time: above 1 fastconv is faster. "Fastest of torch" is the better of
torch's eager NCHW and channels_last in each row.
"""

import math
from collections.abc import Iterable

from tabulate import tabulate

from benchmarks.harness.results import timed
from benchmarks.harness.timing import NOISE_BOUND
from benchmarks.peers import LABELS, OURS

TORCH = ("eager", "channels_last")
OURS_LAST = "fastconv_channels_last"
DIRECTIONS = ("forward", "backward_input", "backward_weight")
STAGES = {
    "layers": "Every layer",
    "peers": "Other peers",
    "malloc": "Large tensors with tuned malloc",
    "one thread": "One thread",
    "batch 1": "One image",
    "growth": "How cost grows",
    "types": "float64",
    "half types": "bfloat16 and float16",
}


def ratios(row: dict) -> dict[str, float]:
    """Peer -> ratio of its time to fastconv's."""
    return {name: c["ratio"] for name, c in row["contenders"].items() if "ratio" in c}


def fastest(row: dict) -> float | None:
    """The ratio of the fastest of torch."""
    return min((r for name, r in ratios(row).items() if name in TORCH), default=None)


def eager(row: dict) -> float | None:
    return ratios(row).get("eager")


def geometric_mean(values: Iterable[float | None]) -> float | None:
    logs = [math.log(value) for value in values if value is not None]
    return math.exp(sum(logs) / len(logs)) if logs else None


def of_stage(result: dict, *stages: str) -> list[dict]:
    return [row for row in timed(result["rows"]) if row["stage"] in stages]


def setting(row: dict) -> tuple[int, str, str]:
    return row["threads"], row["malloc"], row["dtype"]


def nets_of(result: dict) -> list[dict]:
    return of_stage(result, "nets")


def number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def with_quartiles(median: float, low: float, high: float, digits: int = 2) -> str:
    return f"{median:.{digits}f} ({low:.{digits}f} - {high:.{digits}f})"


def table(rows: list[list], headers: list[str]) -> str:
    """Numbers to the right."""
    align = ["left" if i == 0 else "right" for i in range(len(headers))]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True, colalign=align)


def by_group(result: dict) -> str:
    """Geometric means per kind of layer and direction: against eager NCHW, and the fastest.

    Of the first setting, where a result has several.
    """
    rows = of_stage(result, "layers")
    rows = [row for row in rows if setting(row) == setting(rows[0])]
    lines = []
    for group in dict.fromkeys(row["group"] for row in rows):
        mine = [row for row in rows if row["group"] == group]
        line = [group, str(len({row["case"] for row in mine}))]
        for direction in DIRECTIONS:
            here = [row for row in mine if row["direction"] == direction]
            pair = (geometric_mean(map(of, here)) for of in (eager, fastest))
            line.append(" / ".join(number(value, 1) for value in pair) if here else "")
        slower = sum((fastest(row) or 1) < 1 for row in mine)
        lines.append([*line, f"{slower} of {len(mine)}"])
    return table(lines, ["layers", "how many", *DIRECTIONS, "slower than the fastest"])


def nets(result: dict) -> str:
    """Images per second, memory and shares of every net that was measured."""
    lines = []
    for row in nets_of(result):
        ours, torchs = (row["contenders"].get(name, {}) for name in (OURS, "eager"))
        spread = [f"{torchs.get(f'ratio_{side}', math.nan):.2f}" for side in ("low", "high")]
        lines.append([
            net_name(row), row["mode"], row["batch"],
            f"{ours['images_per_second']:.4g}", f"{torchs.get('images_per_second', 0):.4g}",
            number(eager(row)), " - ".join(spread), number(fastest(row)),
            *(number(ratios(row).get(name)) for name in ("compile", "onnxruntime", "openvino")),
            _mib(ours), _mib(torchs), _shares(ours), _shares(torchs),
            "noisy" if row["noisy"] else "",
        ])  # fmt: skip
    headers = ["net", "", "batch", "fastconv images/s", "torch images/s", "torch / fastconv",
               "quartiles", "fastest of torch", "torch.compile", "ONNX Runtime", "OpenVINO",
               "fastconv MiB", "torch MiB", "fastconv conv/pool/rest", "torch conv/pool/rest",
               ""]  # fmt: skip
    return table(lines, headers)


def net_name(row: dict) -> str:
    return f"{row['net']}, {row['extent']} pixels"


def _mib(contender: dict) -> str:
    return f"{contender['memory'] / 2**20:.0f}" if "memory" in contender else ""


def _shares(contender: dict) -> str:
    shares = contender.get("shares")
    return "/".join(f"{shares[k]:.0%}" for k in ("conv", "pool", "rest")) if shares else ""


def _layer_table(rows: list[dict]) -> str:
    """A line for each row; where fastconv has channels_last too, a second one, whose ratio is to
    torch in channels_last.
    """
    names = [name for name in LABELS if any(name in ratios(row) for row in rows)]
    lines = []
    for row in rows:
        entries = row["contenders"]
        ours, torchs = entries[OURS], entries.get("eager", {})
        rate = f"{row['flop'] / ours['median'] / 1e9:.1f}"
        lines.append([
            row["case"], row["shape"], row["direction"], row.get("path", ""),
            f"{ours['median'] * 1e3:.3g}",
            *(_with_quartiles(entries.get(name, {})) for name in names),
            f"{rate} effective" if row.get("effective") else rate,
            *(f"{e['roofline']:.0%}" if "roofline" in e else "" for e in (ours, torchs)),
            *(f"{e['error']:.1e}" if "error" in e else "" for e in (ours, torchs)),
            *(f"{e['faults']:.0f}" if "faults" in e else "" for e in (ours, torchs)),
            f"{row['answer'] * 1e9:.0f}" if "answer" in row else "",
            "noisy" if row["noisy"] else "",
        ])  # fmt: skip
        last = entries.get(OURS_LAST, {})
        if "median" in last and "channels_last" in ratios(row):
            own = {"channels_last": f"{ratios(row)['channels_last'] / last['ratio']:.2f}"}
            rate = f"{row['flop'] / last['median'] / 1e9:.1f}"
            lines.append([
                row["case"], "the same, channels_last", row["direction"],
                row.get("path_channels_last", ""), f"{last['median'] * 1e3:.3g}",
                *(own.get(name, "") for name in names), rate,
                f"{last['roofline']:.0%}" if "roofline" in last else "", "",
                f"{last['error']:.1e}" if "error" in last else "", "",
                f"{last['faults']:.0f}" if "faults" in last else "", "", "", "",
            ])  # fmt: skip
    headers = ["layer", "shape", "direction", "path", "fastconv ms",
               *(f"{LABELS[name]} / fastconv" for name in names), "GFLOP/s",
               "of roofline", "torch's", "error", "torch's", "page faults", "torch's", "answer ns",
               ""]  # fmt: skip
    return table(lines, headers)


def overhead(calls: list[dict]) -> str:
    """Microseconds per call."""
    lines = []
    for call in calls:
        times = call["microseconds"]
        row = [call["what"], call["layer"], number(times["fastconv"][0], 1), "", ""]
        if "ratio" in call:
            row[3:] = [number(times["torch"][0], 1), with_quartiles(*call["ratio"])]
        lines.append([*row, "noisy" if call["noisy"] else ""])
    headers = ["call", "entered at", "fastconv us", "torch us", "fastconv / torch", ""]
    return table(lines, headers)


def _with_quartiles(entry: dict) -> str:
    if "wrong" in entry:
        return "wrong result"
    if "ratio" not in entry:
        return ""
    return with_quartiles(entry["ratio"], entry["ratio_low"], entry["ratio_high"])


def _peaks(result: dict) -> str:
    lines = []
    for peak in result["peaks"]:
        copies = [rate for _, rate in peak["copy"]]
        fma = (f"{peak['fma'][d] / 1e9:.0f}" if d in peak["fma"] else peak.get("why", "")
               for d in ("float32", "float64"))  # fmt: skip
        lines.append([peak["stage"], str(peak["threads"]), peak["malloc"], *fma,
                      f"{peak['matmul'] / 1e9:.0f}", f"{max(copies) / 1e9:.0f}",
                      f"{copies[-1] / 1e9:.0f}"])  # fmt: skip
    headers = ["stage", "threads", "malloc", "FMA float32", "FMA float64", "1024^3 product",
               "copy in cache GB/s", "copy in memory GB/s"]  # fmt: skip
    return table(lines, headers)


def about(result: dict) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    return f"{facts}, finished {result['finished']}"


def left_out(result: dict) -> list[str]:
    """What is not there, and why."""
    said: dict[str, None] = {}
    for row in result["rows"]:
        for peer, reason in row.get("absent", {}).items():
            if reason not in ("inference only",):
                said[f"{LABELS[peer]}: {reason}"] = None
        if "left_out" in row:
            said[f"{row.get('case', row.get('net'))}: {row['left_out']}"] = None
    if result["missing"]:
        said[f"{result['missing']} rows were not measured: time was up"] = None
    return list(said)


METHOD = f"""\
Times are medians; a ratio is the median of the ratios of rounds in which all sides took turns, in
one process, each making its output anew, quartiles in brackets; above 1 fastconv is faster. A row
whose quartiles (of torch NCHW / fastconv) are more than {NOISE_BOUND:.0%} apart is repeated, and
marked noisy if that does not help. channels_last starts from tensors that lie so already;
fastconv's are NCHW, but for the lines that say channels_last. Errors are the largest distance from
float64 over the largest exact number, on a sample of the result. GFLOP/s count products with real
pixels only. The roofline's time is max(operations / FMA peak, bytes / bandwidth of a copy as
large); "effective" marks Winograd, which does fewer operations than are counted. Page faults are
pages per call that the system hands out anew. Answer: how long one of two threads takes to answer
the other through memory, the longer of before and after the row; some 50 ns where they share a
cache, 200 where they do not."""


def body(result: dict) -> list[str]:
    """Everything that a result holds but whose it is."""
    parts = [METHOD]
    reasons = left_out(result)
    if reasons:
        parts.append("Not measured:\n\n" + "\n".join(f"* {reason}" for reason in reasons))
    if result["peaks"]:
        parts += ["## Peaks, GFLOP/s", _peaks(result)]
    if of_stage(result, "layers"):
        parts += ["## Layers by kind: torch NCHW / fastest of torch", by_group(result)]
    if nets_of(result):
        parts += ["## Nets", nets(result)]
    for stage, title in STAGES.items():
        rows = of_stage(result, stage)
        for own in dict.fromkeys(map(setting, rows)):
            same = [row for row in rows if setting(row) == own]
            threads, malloc, dtype = own
            parts.append(f"## {title}: {threads} threads, {malloc} malloc, {dtype}")
            parts.append(_layer_table(same))
    for row in result["rows"]:
        if "calls" in row:
            parts += ["## Overhead: 1x1x8x8, one thread", overhead(row["calls"])]
    return parts


def summary(result: dict) -> str:
    """For the terminal."""
    parts = [about(result)]
    for title, rows, make in (
        ("Layers: torch NCHW / fastest of torch", of_stage(result, "layers"), by_group),
        ("Nets", nets_of(result), nets),
    ):
        if rows:
            parts += [title, make(result)]
    return "\n\n".join(parts)
