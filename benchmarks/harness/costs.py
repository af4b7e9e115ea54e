"""Fits the constants of csrc/cpu/paths/costs.h: the nanoseconds of each kind of work, from the
times of paths and how often each path says that it does each work.

Least squares of the relative error, constants not negative. A path that takes many times as long as
the fastest counts less, and so does a time that no constants explain.
"""

from collections import defaultdict

import numpy as np
from scipy.optimize import nnls

MOST_RATIO = 6.0  # of a path to the fastest, beyond which its weight does not fall any more
SPREAD = 0.2  # of the logarithm of time over estimate: beyond, a time counts less
STEPS = 12

Fit = dict[str, dict[str, float]]  # path -> kind of work -> nanoseconds


def fitted(rows: list[dict]) -> Fit:
    """`rows` of studies.paths: "parts", "seconds" and "ratios" by path."""
    seen: dict[str, list[tuple[dict, float, float]]] = defaultdict(list)
    for row in rows:
        for path, parts in row["parts"].items():
            if path in row["seconds"]:
                seen[path].append((parts, row["seconds"][path] * 1e9, row["ratios"][path]))
    return {path: _fit(of_path) for path, of_path in seen.items()}


def _fit(seen: list[tuple[dict, float, float]]) -> dict[str, float]:
    works = list(dict.fromkeys(work for parts, _, _ in seen for work in parts))
    shares = np.array([[parts.get(work, 0.0) / ns for work in works] for parts, ns, _ in seen])
    scale = shares.max(0)
    weight = np.array([1 / np.clip(ratio, 1, MOST_RATIO) ** 0.5 for _, _, ratio in seen])
    robust, found = np.ones_like(weight), np.zeros(len(works))
    for _ in range(STEPS):
        by = weight * robust
        found, _ = nnls(shares / scale * by[:, None], by)
        told = np.maximum(shares / scale @ found, 1e-3)
        # Dividing by what is told turns the error of a share into that of its logarithm.
        robust = 1 / np.sqrt(1 + (np.log(told) / SPREAD) ** 2) / np.maximum(told, 0.3) ** 0.5
    return dict(zip(works, found / scale, strict=True))


def told(fit: Fit) -> str:
    """As lines of costs.h."""
    lines = []
    for path, constants in fit.items():
        lines.append(f"{path}:")
        lines += [f'    {{"{w}", {float(f"{ns:.3g}"):g}}},' for w, ns in constants.items()]
    return "\n".join(lines)
