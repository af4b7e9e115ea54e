"""The page of make gpu-check, from the files that its steps have written."""

import json
from pathlib import Path

STEPS = ("smoke", "sanitizer", "train", "bench")


def read(folder: Path, name: str) -> dict:
    file = folder / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def checked(rows: dict, name: str) -> list[str]:
    """How many cases were right, and each that was not."""
    if not rows:
        return [f"{name}: nothing was run."]
    wrong = {key: row["error"] for key, row in rows.items() if "error" in row}
    lines = [f"{name}: {len(rows) - len(wrong)} of {len(rows)} cases are within their bounds."]
    return lines + [f"- {key}: {error}" for key, error in wrong.items()]


def trained(rows: dict) -> list[str]:
    lines = ["| net, kernels | first and last loss | ms of a step | left to torch |",
             "|---|---|---|---|"]  # fmt: skip
    for key, row in rows.items():
        if "error" in row:
            lines.append(f"| {key} | {row['error']} | | |")
            continue
        left = "; ".join(f"{count} {name}" for name, count in row["left to torch"].items())
        losses = f"{row['losses'][0]} {row['losses'][-1]}"
        lines.append(f"| {key} | {losses} | {row['ms of a step']} | {left} |")
    return lines if rows else ["Nothing was trained."]


def measured(rows: dict) -> list[str]:
    lines = [
        "| layer | fastconv ms | cuDNN / fastconv | cuDNN with benchmark / fastconv |",
        "|---|---|---|---|",
    ]
    for key, row in rows.items():
        if "error" in row:
            lines.append(f"| {key} | {row['error']} | | |")
            continue
        ratios = f"{row['cudnn / fastconv']} | {row['cudnn.benchmark / fastconv']}"
        lines.append(f"| {key} | {row['ms fastconv']} | {ratios} |")
    return lines if rows else ["Nothing was measured."]


def write(folder: Path, facts: dict[str, str], target: Path) -> str:
    """Writes <target>.json and <target>.md, and returns the page."""
    state = read(folder, "state")
    found = {name: read(folder, name) for name in STEPS}
    lines = [
        f"# gpu-check: {facts['GPU']}, {facts['date']}",
        "",
        ", ".join(f"{name} {value}" for name, value in facts.items()),
        "",
        "Steps: " + "; ".join(
            f"{name} {s['ended']}" + (f" in {s['seconds']} s" if "seconds" in s else "")
            for name, s in state.items()
        ),
        "",
        *checked(found["smoke"], "Smoke cases"),
        *checked(found["sanitizer"], "Under compute-sanitizer"),
        "",
        *trained(found["train"]),
        "",
        "A ratio is torch's time over fastconv's (median of rounds): above 1 fastconv is faster.",
        "",
        *measured(found["bench"]),
        "",
    ]  # fmt: skip
    text = "\n".join(lines)
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = {"facts": facts, "state": state, **found}
    target.with_name(target.name + ".json").write_text(json.dumps(whole, indent=1) + "\n")
    target.with_name(target.name + ".md").write_text(text)
    return text
