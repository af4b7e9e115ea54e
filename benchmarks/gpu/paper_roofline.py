"""The shortest time that a GPU's data sheet allows a layer: arithmetic, no measurement."""

from typing import NamedTuple


class Gpu(NamedTuple):
    """Data sheet: 10^12 operations a second, dense; 10^9 bytes a second."""

    float32: float
    float16: float
    bandwidth: float


GPUS = {"H100 SXM": Gpu(67, 989, 3350), "RTX 4060": Gpu(15.1, 60.5, 272)}


def roofline() -> dict[str, dict]:
    """Of each layer of the benchmark, forward: microseconds, and which limit sets them."""
    from benchmarks.gpu.bench import LAYERS

    found = {}
    for case in LAYERS:
        weights = case.weight_size if hasattr(case, "weight_size") else (0,)
        sizes = [case.input_size, weights, _output(case)]
        elements = sum(_product(size) for size in sizes)
        operations = 2 * _product(_output(case)) * _product(weights[1:]) if weights[0] else 0
        for kind, width in (("float32", 4), ("float16", 2)):
            row = {}
            for name, gpu in GPUS.items():
                products = operations / getattr(gpu, kind) / 1e6
                memory = elements * width / gpu.bandwidth / 1e3
                limit = "products" if products > memory else "memory"
                row[name] = [round(max(products, memory), 2), limit]
            found[f"{case.name}, batch {case.N}, {kind}"] = row
    return found


def _product(size: tuple) -> int:
    total = 1
    for extent in size:
        total *= extent
    return total


def _output(case) -> tuple:
    if hasattr(case, "output_size"):
        return case.output_size
    spans = zip((case.IH, case.IW), case.kernel, case.stride, case.padding, strict=True)
    return (case.N, case.C, *((i + 2 * p - k) // s + 1 for i, k, s, p in spans))
