"""The peaks that the shares of the roofline are of."""

from benchmarks.harness import roofline


def peak(stage: str, threads: int, rate: float, copy: float) -> dict:
    return {"stage": stage, "threads": threads, "fma": {"float32": rate}, "copy": [[1024, copy]]}


def test_a_peak_is_the_best_of_the_stages_with_as_many_threads():
    measured = [
        peak("layers", 2, 40.0, 9.0),
        peak("types", 2, 70.0, 8.0),
        peak("one", 1, 39.0, 5.0),
    ]
    layers, types, single = roofline.best(measured)
    assert layers == peak("layers", 2, 70.0, 9.0) and types == peak("types", 2, 70.0, 9.0)
    assert single == measured[2]


def test_a_row_is_held_to_the_best_peak():
    contenders = {"fastconv": {"median": 4.0, "roofline": 9.9}, "jax": {}}
    row = {"threads": 2, "flop": 140.0, "bytes": 1024, "dtype": "float32", "least": 3.5,
           "contenders": contenders}  # fmt: skip
    bounded = roofline.bounded(row, [peak("one", 1, 1.0, 1e6), peak("layers", 2, 70.0, 1e6)])
    assert bounded["least"] == 2.0
    assert bounded["contenders"] == {"fastconv": {"median": 4.0, "roofline": 0.5}, "jax": {}}
    assert roofline.bounded({"kind": "net"}, []) == {"kind": "net"}
