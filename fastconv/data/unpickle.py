"""Reads pickles without running them: dicts, lists, text, numbers and uint8 arrays only.

Layer: below cifar; the standard library and numpy. A pickle is a program for a stack machine.
This machine knows the instructions that plain data and numpy's uint8 arrays need; it imports
nothing, calls nothing that a file names, and builds arrays itself after checking them.
"""

import pickle
import pickletools
from dataclasses import dataclass
from typing import NamedTuple

import numpy

MAX_INSTRUCTIONS = 2_000_000  # CIFAR-100's training file needs some 200,000
VALUES = {  # instructions that push their own argument
    *("BININT", "BININT1", "BININT2", "LONG1"),
    *("SHORT_BINSTRING", "BINSTRING", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


class UnpickleError(ValueError):
    """A pickle that is damaged or holds something else; the message goes on after "it"."""


class Name(NamedTuple):
    """What a pickle would import; compared, never imported."""

    module: str
    name: str


NDARRAY, DTYPE = Name("numpy", "ndarray"), Name("numpy", "dtype")
# numpy 1 and numpy 2; the second pair is what pickle protocol 5 calls
RECONSTRUCT = {Name(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")}
FROM_BUFFER = {Name(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")}


class Uint8:
    """numpy.dtype("u1"), the one that is built."""


@dataclass
class Array:
    """A uint8 array as the pickle describes it: nothing is copied before it is asked for."""

    shape: tuple = ()
    fortran: bool = False
    raw: str | bytes = b""

    def numpy(self) -> numpy.ndarray:
        """The array, read-only.

        Raises:
            UnpickleError: the bytes are not as many as the shape says.
        """
        raw = self.raw.encode("latin-1") if isinstance(self.raw, str) else self.raw
        array = numpy.frombuffer(raw, numpy.uint8)
        try:
            return array.reshape(self.shape, order="F" if self.fortran else "C")
        except (OverflowError, ValueError) as error:
            raise UnpickleError(f"has an array of {len(raw):,} bytes of another shape") from error


def loads(content: bytes) -> object:
    """What a pickle (protocol 2 to 5) describes, arrays as ``Array``.

    Memory and time grow with the length of ``content``, not with sizes it claims.

    Raises:
        UnpickleError: damaged, too long, or it needs something that is not plain data.
    """
    if content[:1] != pickle.PROTO:
        raise UnpickleError("is not a pickle of protocol 2 to 5")
    machine = _Machine()
    end = -1
    try:
        for count, (instruction, argument, at) in enumerate(pickletools.genops(content)):
            if count == MAX_INSTRUCTIONS:
                raise UnpickleError(f"has more than {MAX_INSTRUCTIONS:,} instructions")
            machine.step(instruction.name, argument)
            end = at
        (result,) = machine.stack
    except UnpickleError:
        raise
    # What a wrong order of instructions or a cut file does to the machine and to genops.
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise UnpickleError("is truncated or damaged") from error
    if end + 1 != len(content):
        raise UnpickleError(f"goes on for {len(content) - end - 1:,} bytes after its end")
    return result


class _Machine:
    def __init__(self) -> None:
        self.stack: list = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: dict[int, object] = {}

    def step(self, name: str, argument: object) -> None:
        stack = self.stack
        if name in VALUES:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in ("APPEND", "APPENDS"):
            items = self._taken(1 if name == "APPEND" else None)
            _expect(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self._taken(2 if name == "SETITEM" else None)
            keys = (_text(key) for key in items[::2])
            _expect(stack[-1], dict).update(zip(keys, items[1::2], strict=True))
        elif name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self._taken(int(name[5:]) if name[5:] else None)))
        elif name == "GLOBAL":
            stack.append(Name(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(Name(*(_expect(part, str) for part in self._taken(2))))
        elif name == "REDUCE":
            function, arguments = self._taken(2)
            stack.append(_called(function, _expect(arguments, tuple)))
        elif name == "BUILD":
            (state,) = self._taken(1)
            _set_state(stack[-1], _expect(state, tuple))
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise UnpickleError(f"uses the pickle instruction {name}, which plain data does not")

    def _taken(self, count: int | None) -> list:
        """The top ``count`` values, or those above the last mark, off the stack."""
        at = self.marks.pop() if count is None else len(self.stack) - count
        if at < 0:
            raise IndexError
        items = self.stack[at:]
        del self.stack[at:]
        return items


def _called(function: object, arguments: tuple) -> object:
    """What ``function(*arguments)`` would give, for the three calls that numpy's arrays make."""
    _expect(function, Name)  # before it is hashed: that of deep tuples would exhaust the stack
    if function == DTYPE:
        if _text(arguments[0]) not in ("u1", "uint8"):
            raise UnpickleError("has an array that is not of uint8")
        return Uint8()
    if function in RECONSTRUCT and arguments[0] == NDARRAY:
        return Array()
    if function in FROM_BUFFER:
        raw, dtype, shape, order = arguments
        return _checked(Array(shape, order == "F", raw), dtype)
    raise UnpickleError(f"would call {'.'.join(function)[:80]!r}, which no file of images needs")


def _set_state(target: object, state: tuple) -> None:
    """``target.__setstate__(state)`` for what ``_called`` makes."""
    if isinstance(target, Array):
        _, target.shape, dtype, target.fortran, target.raw = state
        _checked(target, dtype)
    else:
        _expect(target, Uint8)  # its state is the byte order, which single bytes have not


def _checked(array: Array, dtype: object) -> Array:
    _expect(dtype, Uint8)
    _expect(array.raw, (str, bytes, bytearray))
    for extent in _expect(array.shape, tuple):
        if _expect(extent, int) < 0:
            raise UnpickleError("has an array with a negative extent")
    return array


def _expect(value: object, kind: type | tuple[type, ...]):
    if not isinstance(value, kind):
        raise TypeError
    return value


def _text(value: object) -> str:
    """Text of Python 2 arrives as str, its bytes under Python 3 as bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else _expect(value, str)
