"""The pickle reader: what plain data becomes, and that hostile files reach nothing."""

import pickle
import random
import struct
import sys
import tracemalloc

import numpy as np
import pytest

from fastconv.data import unpickle
from fastconv.data.unpickle import Array, UnpickleError, loads

PROTO = b"\x80\x04"
PLAIN = {
    "text": "naïve",
    "bytes": b"\x00\xff",
    "long bytes": bytes(300),
    "numbers": [0, 1, 255, 256, 65535, 65536, -1, -(2**31), 2**40],
    "nested": [[], {}, {"a": [None, True, False]}, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
}


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_data(protocol: int):
    assert loads(pickle.dumps(PLAIN, protocol=protocol)) == PLAIN


def test_the_same_object_twice():
    shared = ["x"]
    result = loads(pickle.dumps({"a": shared, "b": shared}))
    assert result == {"a": ["x"], "b": ["x"]} and result["a"] is result["b"]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(0,), (7,), (3, 5), (2, 3, 4)])
def test_uint8_arrays(protocol: int, order: str, shape: tuple[int, ...]):
    array = np.asarray(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape), order=order)
    result = loads(pickle.dumps([array], protocol=protocol))[0]
    assert isinstance(result, Array)
    assert result.numpy().dtype == np.uint8 and np.array_equal(result.numpy(), array)


ARRAY = pickle.dumps(np.arange(6, dtype=np.uint8).reshape(2, 3), protocol=4)
SHAPE = b"K\x02K\x03\x86"  # the shape (2, 3) in it


def global_(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


HOSTILE = {
    "system": (PROTO + global_("os", "system") + b"\x8c\x04true\x85R.", "os.system"),
    "stack global": (PROTO + b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", "os.system"),
    "getattr": (PROTO + global_("builtins", "getattr") + b"))\x86R.", "builtins.getattr"),
    "numpy's own evaluation": (
        PROTO + global_("numpy.testing._private.utils", "runstring") + b"))\x86R.",
        "runstring",
    ),
    "a subclass of arrays": (
        PROTO
        + global_("numpy.core.multiarray", "_reconstruct")
        + global_("numpy", "memmap")
        + b"K\x00\x85C\x01b\x87R.",
        "_reconstruct",
    ),
    "terminal codes in a name": (
        PROTO + global_("\x1b[2Jos", "system") + b")R.",
        r"\x1b[2Jos.system",
    ),
    "NEWOBJ": (PROTO + global_("numpy", "ndarray") + b")\x81.", "NEWOBJ"),
    "INST": (PROTO + b"(ios\nsystem\n.", "INST"),
    "extension registry": (PROTO + b"\x82\x01.", "EXT1"),
    "persistent id": (PROTO + b"\x8c\x01xQ.", "BINPERSID"),
    "float": (PROTO + b"G" + bytes(8) + b".", "BINFLOAT"),
    "next buffer": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "state of a name": (PROTO + global_("numpy", "ndarray") + b"}N\x86b.", "damaged"),
    "state of a dict": (PROTO + b"}N\x85b.", "damaged"),
    "append to a tuple": (PROTO + b")K\x01a.", "damaged"),
    "number as key": (PROTO + b"}K\x01K\x02s.", "damaged"),
    "nothing": (PROTO + b".", "damaged"),
    "two results": (PROTO + b"NN.", "damaged"),
    "pop too far": (PROTO + b"N\x86.", "damaged"),
    "mark missing": (PROTO + b"Nt.", "damaged"),
    "memo missing": (PROTO + b"h\x07.", "damaged"),
    "call without arguments": (PROTO + global_("numpy", "dtype") + b")R.", "damaged"),
    "no stop": (PROTO + b"N", "damaged"),
    "no pickle": (b"#!/bin/sh\n", "not a pickle"),
    "old protocol": (pickle.dumps({"a": 1}, protocol=0), "not a pickle"),
    "two terabytes of bytes": (PROTO + b"\x8e" + struct.pack("<Q", 2 << 40) + b"x.", "damaged"),
    "all the bytes there are": (PROTO + b"\x8e" + b"\xff" * 8 + b"x.", "damaged"),
    "four gigabytes of text": (PROTO + b"X\xff\xff\xff\xffx.", "damaged"),
    "frame of two terabytes": (PROTO + b"\x95" + struct.pack("<Q", 2 << 40), "damaged"),
    "memo of 32 gigabytes": (PROTO + b"Nr\xff\xff\xff\xff0.", "POP"),
}


@pytest.mark.parametrize("content, reason", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile(content: bytes, reason: str):
    tracemalloc.start()
    with pytest.raises(UnpickleError) as error:
        loads(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason in str(error.value)
    assert peak < 1 << 20  # whatever a file of a few bytes claims


def test_nothing_is_imported():
    assert "antigravity" not in sys.modules
    with pytest.raises(UnpickleError, match="antigravity"):
        loads(PROTO + global_("antigravity", "geohash") + b")R.")
    assert loads(PROTO + global_("antigravity", "geohash") + b".") == ("antigravity", "geohash")
    assert "antigravity" not in sys.modules


def test_large_index_of_the_memo_takes_no_memory():
    tracemalloc.start()
    assert loads(PROTO + b"Nr\xff\xff\xff\xff.") is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_arrays_share_the_bytes_they_name():
    size = 1 << 20
    array = (
        global_("numpy.core.multiarray", "_reconstruct")
        + global_("numpy", "ndarray")
        + b"K\x00\x85C\x01b\x87R(K\x01J"
        + struct.pack("<i", size)
        + b"\x85"
        + global_("numpy", "dtype")
        + b"\x8c\x02u1\x89\x88\x87R\x89h\x00tb"
    )
    text = b"T" + struct.pack("<i", size) + b"\xff" * size + b"q\x00"
    content = PROTO + b"](" + text + array * 1000 + b"e."
    tracemalloc.start()
    _, *arrays = loads(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(arrays) == 1000 and arrays[999].numpy().sum() == 255 * size
    assert peak < 5 * size


@pytest.mark.parametrize("use", [b"}\x8c\x01x", b""], ids=["value", "alone"])
def test_deep_nesting(use: bytes):
    """200,000 tuples, each in the next: nothing that recurses may see them."""
    deep = PROTO + use + b")" + b"\x85" * 200_000
    assert loads(deep + (b"s." if use else b".")) is not None


@pytest.mark.parametrize("end", [b"Ns.", b")R.", b"N\x85R."], ids=["key", "call", "arguments"])
def test_deep_nesting_where_it_would_be_hashed(end: bytes):
    with pytest.raises(UnpickleError):
        loads(PROTO + b"}" + b")" + b"\x85" * 200_000 + end)


def test_number_of_instructions_is_limited(monkeypatch):
    monkeypatch.setattr(unpickle, "MAX_INSTRUCTIONS", 100)
    loads(PROTO + b"](" + b"N" * 95 + b"e.")
    with pytest.raises(UnpickleError, match="instructions"):
        loads(PROTO + b"](" + b"N" * 96 + b"e.")


WRONG_ARRAYS = {
    "larger": b"K\x02K\x04\x86",
    "smaller": b"K\x02K\x02\x86",
    "negative": b"K\x02J\xfd\xff\xff\xff\x86",
    "guessed": b"K\x02J\xff\xff\xff\xff\x86",
    "beyond 64 bits": b"K\x02\x8a\x09" + bytes(8) + b"\x01\x86",
    "wrapping to the right size": b"\x8a\x09\x02" + bytes(7) + b"\x01K\x03\x86",
    "text": b"K\x02\x8c\x013\x86",
}


@pytest.mark.parametrize("shape", WRONG_ARRAYS.values(), ids=WRONG_ARRAYS.keys())
def test_wrong_shape(shape: bytes):
    assert SHAPE in ARRAY
    # Without its frame, whose length would be wrong, too.
    content = PROTO + ARRAY.replace(SHAPE, shape)[11:]
    with pytest.raises(UnpickleError):
        loads(content).numpy()


def test_other_types_of_array():
    for dtype in (np.float32, np.int8, np.uint16, object, "datetime64[s]", "S4"):
        with pytest.raises(UnpickleError, match="not of uint8"):
            loads(pickle.dumps(np.zeros(3, dtype), protocol=4))


def test_every_prefix_is_refused():
    content = pickle.dumps({**PLAIN, "array": np.zeros((2, 3), np.uint8)}, protocol=4)
    for length in range(len(content)):
        with pytest.raises(UnpickleError):
            loads(content[:length])


def test_changed_bytes_raise_one_kind_of_error():
    chance = random.Random(0)
    content = pickle.dumps({**PLAIN, "array": np.zeros((2, 3), np.uint8)}, protocol=4)
    refused = 0
    for _ in range(5000):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        try:
            result = loads(bytes(changed))
            if isinstance(result, dict) and isinstance(result.get("array"), Array):
                result["array"].numpy()
        except UnpickleError:
            refused += 1
    assert refused > 1000  # most changes of text and zeros go unseen, those of instructions not
