"""How exact Winograd can be: errors of y = A^T ((G w G^T) . (B^T x B)) A, 3x3, where only some of
its steps are rounded to float32 and all else is float64.

python -m benchmarks.studies.rounding    some seconds; writes
    benchmarks/results/rounding-<date>-<isa>.md
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from winograd_matrices import evaluate, filter_matrix, input_matrix, tensor, transposed

from benchmarks import peers
from benchmarks.harness import cases, problems
from benchmarks.harness.machine import pin
from benchmarks.report import page, tables
from benchmarks.studies.accuracy import distance

CHANNELS = (1, 16, 64, 256)
TILES, FILTERS = 600, 16
SUMS = (64, 16)
OURS = "fastconv"
STEPS = ("U", "V", "M", "U, V and M", *(f"all, sums of {n}" for n in SUMS), OURS, "torch")
METHOD = f"""\
{TILES} tiles of 6 x 6 normal pixels, {FILTERS} filters. Each cell: largest error over the largest
exact number / root mean square of the errors over that of the exact numbers. U, V, M: points of
filters, tiles and outputs, rounded to float32 when they are stored. All, sums of n: besides,
products are summed in float32, n of them one after another, and those sums likewise. fastconv: its
kernel, whose transforms are in float32 too, a rounding for each of their steps; with one channel it
has no sums, and all of its error is theirs. torch: its convolution in float32."""


def _rounded(t: Tensor) -> Tensor:
    return t.float().double()


def _sums(u: Tensor, v: Tensor, length: int) -> Tensor:
    """M of u[m][c][i][j] and v[t][c][i][j] in float32: sums of `length` products, and of these."""
    u, v = u.float(), v.float()
    whole = torch.zeros(len(v), len(u), *u.shape[2:])
    for start in range(0, u.shape[1], length):
        part = torch.zeros_like(whole)
        for c in range(start, min(start + length, u.shape[1])):
            part.addcmul_(v[:, None, c], u[None, :, c])
        whole += part
    return whole.double()


def errors(channels: int) -> dict[str, tuple[float, float]]:
    """By step: (largest, root mean square), both relative."""
    torch.manual_seed(0)
    x = torch.randn(TILES, channels, 6, 6).double()  # numbers that float32 holds
    w = torch.randn(FILTERS, channels, 3, 3).double()
    A, G, B = (tensor(m) for m in (transposed(evaluate(4)), filter_matrix(3), input_matrix()))
    u, v, exact = G @ w @ G.T, B @ x @ B.T, F.conv2d(x, w)

    def product(u: Tensor, v: Tensor) -> Tensor:
        return torch.einsum("mcij,tcij->tmij", u, v)

    near_u, near_v = _rounded(u), _rounded(v)
    points = {
        "U": product(near_u, v),
        "V": product(u, near_v),
        "M": _rounded(product(u, v)),
        "U, V and M": _rounded(product(near_u, near_v)),
    }
    points |= {f"all, sums of {n}": _sums(near_u, near_v, n) for n in SUMS}
    found = {step: distance(A @ m @ A.T, exact) for step, m in points.items()}
    found[OURS] = distance(_kernel(x.float(), w.float()), exact)
    return found | {"torch": distance(F.conv2d(x.float(), w.float()), exact)}


def _kernel(x: Tensor, w: Tensor) -> Tensor:
    """fastconv's y of images of one tile."""
    case = cases.ConvCase("a tile each", *x.shape, *w.shape[::2], w.shape[3])
    problem = problems.ConvProblem(case, torch.float32)
    problem.x, problem.w, problem.bias = x, w, torch.zeros(len(w))
    return peers.kernel(problem, "forward", "winograd", 1)()[0]


def main(arguments: list[str] | None = None) -> None:
    options = page.parser("rounding", __doc__).parse_args(arguments)
    pin(options.threads)
    lines = []
    for channels in CHANNELS:
        found = errors(channels)
        lines.append([str(channels), *(f"{a:.1e} / {b:.1e}" for a, b in map(found.get, STEPS))])
    text = tables.table(lines, ["channels", *STEPS])
    print(text)
    result = page.result([], options.threads)
    title = "Rounding within Winograd"
    print(page.write("rounding", result, title, [METHOD, text], options.out))


if __name__ == "__main__":
    main()
