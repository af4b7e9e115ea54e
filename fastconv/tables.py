"""Tables as text. Layer: public, below all else."""


def table(lines: list[list[str]]) -> str:
    """Columns as wide as their widest cell; the first line is the header, and is underlined."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([rows[0], "  ".join("-" * w for w in widths), *rows[1:]])
