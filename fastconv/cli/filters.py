"""``fastconv filters``: draws what a kernel makes of a picture, and prints how the size follows.

Layer: a command.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from fastconv.plots import picture_kernels as filters

Shape = tuple[int, int, int]

GEOMETRY = {"stride": 1, "padding": 0, "dilation": 1}  # unless told otherwise
DPI = range(20, 601)


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "filters",
        help="apply a kernel (blur, sharpen, sobel, ...) to a picture and draw what it does",
        description="Apply kernels to a picture with fastconv's conv2d, each channel by itself, "
        "and write input, kernel and output side by side as a PNG.",
    )
    parser.set_defaults(run=run)
    default = " (default: %(default)s)"
    parser.add_argument(
        "image",
        nargs="?",
        default="china.jpg",
        metavar="IMAGE",
        help="picture file; china.jpg and flower.jpg come with scikit-learn" + default,
    )
    parser.add_argument(
        "--kernel",
        nargs="+",
        action="extend",
        metavar="KERNEL",
        help=f"one or more of {', '.join(filters.NAMES)}; box-N, gaussian-N or motion-N for "
        "N x N; or an array such as '[[0,1,0],[1,-4,1],[0,1,0]]' (default: sharpen)",
    )
    for name, text in (
        ("stride", "pixels from one output to the next"),
        ("padding", "zeros around the picture, on each side"),
        ("dilation", "pixels from one kernel element to the next"),
    ):
        parser.add_argument(
            f"--{name}", type=int, default=GEOMETRY[name], metavar="INT", help=text + default
        )
    parser.add_argument("--grey", action="store_true", help="use the brightness only")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/filters.png"),
        metavar="PNG",
        help="the file to write" + default,
    )
    parser.add_argument(
        "--dpi", type=int, default=100, metavar="INT", help="dots per inch in it" + default
    )


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Apply, draw, and print the arithmetic."""
    from fastconv import plots
    from fastconv.data import picture
    from fastconv.plots import bands
    from fastconv.plots.kernels import longest_side

    if options.dpi not in DPI:
        raise filters.FilterError(f"dpi is {options.dpi}: it must be {DPI[0]} to {DPI[-1]}")
    kernels = [filters.parse(text) for text in options.kernel or ["sharpen"]]
    image = picture.load(options.image, options.grey)
    C, IH, IW = shape = tuple(image.shape)
    print(f"{options.image}: {IH} x {IW} pixels, {'grey' if C == 1 else f'{C} channels'}")
    geometry = {name: getattr(options, name) for name in GEOMETRY}
    outputs, longest = [], longest_side(options.dpi)
    for kernel in kernels:
        output, seconds = bands.apply(image.rows, shape, kernel, longest, **geometry)
        outputs.append((kernel, output))
        print(_arithmetic(shape, kernel, output.shape, **geometry))
        products = math.prod(output.shape) * kernel.weight.numel()
        print(f"  {products:,} multiply-adds in {1000 * seconds:.1f} ms")
    words = [kernel.name for kernel in kernels]
    words += [f"{name} {value}" for name, value in geometry.items() if value != GEOMETRY[name]]
    title = f"{Path(options.image).name}: {', '.join(words)}"
    shown = bands.view(image.rows, shape, longest)
    plots.kernels(shown, outputs, title, options.out, options.dpi)
    print(f"{options.out} shows input, kernel and output")
    return 0


def _arithmetic(
    image: Shape, kernel: filters.Kernel, output: Shape, stride: int, padding: int, dilation: int
) -> str:
    """The formula of the output's size with the numbers put in."""
    extents = zip("HW", image[1:], kernel.weight.shape[1:], output[1:], strict=True)
    lines = [
        f"  O{side} = ({before} + 2*{padding} - {dilation}*({taps} - 1) - 1) // {stride} + 1"
        f" = {after}"
        for side, before, taps, after in extents
    ]
    return "\n".join([f"{kernel.name}:", *lines])
