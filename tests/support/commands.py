"""What commands of fastconv print."""


def error_of(capsys) -> str:
    """The one line on stderr."""
    text = capsys.readouterr().err
    assert text.startswith("fastconv: ") and text.count("\n") == 1, text
    return text
