"""Shortens values for the sentences of errors: one line, of a length that can be read.

Layer: the lowest; standard library only.
"""

from collections.abc import Callable


def brief(value: object, show: Callable[[object], str] = str, longest: int = 80) -> str:
    """``show(value)`` on one line of at most ``longest`` characters, none of them a command."""
    try:
        text = show(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        text = f"{type(value).__name__} of very many digits"
    text = " ".join(text[: 2 * longest].split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
