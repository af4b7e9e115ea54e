"""The SIMT shim finds what it says it finds: each fault is planted in a copy of a real kernel, and
the shim names it, with the file and the line."""

import shutil
from typing import NamedTuple

import cuda_shim
import pytest
import torch
from cases import ConvCase, PoolCase
from cuda_calls import DEPTHWISE, DIRECT, GEMM, conv2d, dense, max_pool2d, pool_shape
from cuda_shim import ROOT, Shim, Tuning

GEMM_CASE = ConvCase("product", 1, 5, 9, 9, 9, 3, 3, padding=(1, 1, 1, 1))
DEPTHWISE_CASE = ConvCase("depthwise", 2, 8, 9, 9, 8, 3, 3, padding=(1, 1, 1, 1), groups=8)
FIRST_CASE = ConvCase("first layer", 1, 3, 7, 7, 9, 5, 5)
TENSOR_CASE = ConvCase("tensor cores", 1, 40, 5, 5, 9, 3, 3)
POOL_CASE = PoolCase("pool", 1, 3, 8, 8, (2, 2), (2, 2))


class Fault(NamedTuple):
    kind: str  # that the shim reports
    kernel: str  # the .cu file that is compiled with the fault
    file: str  # where it is planted: `before` becomes `after`
    before: str
    after: str
    at: str  # text of the line that the shim names; "": the fault has no line
    offset: int = 0
    named: str = ""  # the file of that line; "": where the fault is planted
    element: str = "float"  # type that the kernel is compiled for and called with


TENSOR, STEPS = "gemm/tensor.cu", "gemm/tensor_tile.cuh"
PIXELS, FIRST = "gemm/tensor_pixels.cu", "direct/forward.cu"
TILE, SUMS = "gemm/tile.cuh", "depthwise/backward_weight.cu"
GATHER, PRODUCT, MAX = "depthwise/gather.cu", "gemm/gather.cu", "pool/max_pool2d.cu"
BARRIER = "__syncthreads();  // the next tiles are written"
FAULTS = {
    "missing barrier": Fault("race", PRODUCT, TILE, BARRIER, "", "load_vectors(&"),
    "missing barrier before the next tile": Fault(
        "race", PRODUCT, TILE, "stage ^= 1;", "", "load_vectors(&"),
    "missing barrier between taps": Fault(
        "race", SUMS, SUMS, "__syncthreads();  // they are read, before the next tap's are written",
        "", "of_warps[warp][lane] = sums[t];"),
    "divergent barrier": Fault(
        "divergent barrier", PRODUCT, TILE, BARRIER, f"if (thread < 100) {BARRIER}", BARRIER),
    "barrier that a thread leaves out": Fault(
        "divergent barrier", PRODUCT, TILE, "    if (more) fetch",
        "    if (thread == 7) return;\n    if (more) fetch", BARRIER),
    "shuffle in a branch": Fault(
        "divergent warp", SUMS, SUMS, "sums[t] += shuffle_down(sums[t], lanes)",
        "if (lane < 16) sums[t] += shuffle_down(sums[t], lanes)", "shuffle_down(sums[t]"),
    "two blocks write the same": Fault(
        "race between blocks", SUMS, SUMS, "partials += split * work.OC * work.taps + first_tap",
        "partials += first_tap", "= sum;"),
    "shared overrun": Fault(
        "shared overrun", PRODUCT, TILE, "load_vectors(&b[k][n], of_b)",
        "load_vectors(&b[0][0] + 3 * TILE_K * PADDED + n, of_b)", "load_vectors(&"),
    "index beyond its dimension": Fault(
        "index out of bounds", PRODUCT, TILE, "a[stage][to_a.k][to_a.m] =",
        "a[stage][to_a.k][to_a.m + 5] =", "a[stage][to_a.k][to_a.m + 5] ="),
    "read behind the tensor": Fault(
        "global overrun", MAX, MAX, "const SumOf<T> value = widen(x[ih * p.x.h + iw * p.x.w]);",
        "const SumOf<T> value = widen(x[(ih + 1) * p.x.h + iw * p.x.w]);", "const SumOf<T> value"),
    "write before the tensor": Fault(
        "global overrun", MAX, MAX, "y[i] = narrow<T>(best);", "y[i - 1] = narrow<T>(best);",
        "y[i - 1] = narrow<T>(best);"),
    "uninitialised shared memory": Fault(
        "uninitialised read", PRODUCT, TILE, "  store(0);\n", "", "load_vectors(&"),
    "uninitialised global memory": Fault(
        "uninitialised read", MAX, MAX, "if (codes) codes[i]", "if (codes && i != 5) codes[i]",
        "by_KW(uint32_t(codes[i]))"),
    "misaligned vector": Fault(
        "misaligned access", GATHER, GATHER, "aligned<T>(in) && aligned<T>(out)", "true",
        "copy_vector(&x, ", 1),
    "half read behind the tensor": Fault(
        "global overrun", MAX, MAX, "const SumOf<T> value = widen(x[ih * p.x.h + iw * p.x.w]);",
        "const SumOf<T> value = widen(x[(ih + 1) * p.x.h + iw * p.x.w]);", "const SumOf<T> value",
        element="Half"),
    "half written before the tensor": Fault(
        "global overrun", MAX, MAX, "y[i] = narrow<T>(best);", "y[i - 1] = narrow<T>(best);",
        "y[i - 1] = narrow<T>(best);",
        element="Half"),
    "half copied from before the tensor": Fault(
        "global overrun", PIXELS, PIXELS, "inside ? in[row.offset + tap.offset]",
        "inside ? in[row.offset + tap.offset - 1]", "in[row.offset + tap.offset - 1]",
        element="Half"),
    "table overwritten before it is read": Fault(
        "race", PIXELS, PIXELS, "decode(step + 1);", "decode(step + 2);", "copy_vector(&place",
        named="common/rows.cuh", element="Half"),
    "filters that are not awaited": Fault(
        "race", FIRST, FIRST, "__syncthreads();  // the filters are written", "",
        "filters[own][i] ="),
    "copies that are not waited for": Fault(
        "unwaited cp.async", TENSOR, STEPS, "wait_for_copies<1>()", "wait_for_copies<2>()",
        "[i].load(", element="Half"),
    "barrier missing after the wait": Fault(
        "race", TENSOR, STEPS, "__syncthreads();  // every thread's copies", "//", "[i].load(",
        element="Half"),
    "barrier missing before the next copies": Fault(
        "race", TENSOR, STEPS, "__syncthreads();  // this stage is read", "//", "copy_async(&",
        named=TENSOR, element="Half"),
    "unwritten output": Fault(
        "unwritten", MAX, MAX, "if (i >= p.inputs.count) return;",
        "if (i >= p.inputs.count - 1) return;", ""),
    "block beyond the limit": Fault(
        "launch limits", GATHER, GATHER, "kernel, blocks, THREADS,", "kernel, blocks, 2048,", ""),
    "blocks in grid.y": Fault(
        "launch limits", GATHER, "common/compat.h", "dim3(unsigned(blocks))",
        "dim3(1, unsigned(blocks) * 65536)", ""),
    "block beyond its launch bounds": Fault(
        "launch bounds", GATHER, GATHER, "kernel, blocks, THREADS,", "kernel, blocks, 2 * THREADS,",
        "FC_BLOCK(THREADS)"),
    "too much shared memory": Fault(
        "shared memory limit", PRODUCT, PRODUCT, "  const int thread = threadIdx.x;",
        "  const int thread = threadIdx.x;\n  FC_SHARED(Sum, more, [9][TILE_K][PADDED]);\n"
        "  more[0][0][thread % 64] = 0;", ""),
    "null pointer": Fault(
        "null pointer", MAX, MAX, "y[i] = narrow<T>(best);", "y = nullptr, y[i % 64] = T(0);",
        "y = nullptr, y[i % 64]"),
}  # fmt: skip


def tensor(size, last=True):
    return dense(size, torch.float32, last, torch.Generator().manual_seed(1))


def run(shim: Shim, fault: Fault) -> None:
    if fault.kernel == MAX:
        shape = pool_shape(POOL_CASE, False)
        size = (POOL_CASE.N, POOL_CASE.C, shape.OH, shape.OW)
        x, gy = tensor(POOL_CASE.input_size, False), tensor(size, False)
        if fault.element == "Half":
            x, gy = x.half(), gy.half()
        max_pool2d(shim, POOL_CASE, x, gy, False)
        return
    if fault.kernel in (TENSOR, PIXELS):
        last = fault.kernel == TENSOR
        sizes = (TENSOR_CASE.input_size, TENSOR_CASE.weight_size, TENSOR_CASE.output_size)
        x, w, gy = (tensor(size, last).half() for size in sizes)
        conv2d(shim, TENSOR_CASE, x, w, None, gy, (last,) * 3, Tuning(tensor_cores=80), GEMM)
        return
    case, family = {
        PRODUCT: (GEMM_CASE, GEMM), FIRST: (FIRST_CASE, DIRECT)
    }.get(fault.kernel, (DEPTHWISE_CASE, DEPTHWISE))  # fmt: skip
    last = fault.before.startswith(("__syncthreads();  // they", "aligned"))
    sizes = (case.input_size, case.weight_size, (case.OC, 1, 1, 1), case.output_size)
    x, w, bias, gy = (tensor(size, last) for size in sizes)
    conv2d(shim, case, x, w, bias.reshape(-1), gy, (last,) * 3, Tuning(splits=3), family,
           fault.offset)  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(tmp_path, name):
    fault = FAULTS[name]
    for room in ("cuda", "core"):
        shutil.copytree(ROOT / "csrc" / room, tmp_path / "csrc" / room)
    planted = tmp_path / "csrc" / "cuda" / fault.file
    text = planted.read_text()
    assert fault.before in text
    planted.write_text(text.replace(fault.before, fault.after))
    kernel = tmp_path / "csrc" / "cuda" / fault.kernel
    kernel.write_text(f"#define FASTCONV_CUDA_TYPE {fault.element}\n" + kernel.read_text())
    files = [p for p in cuda_shim.sources(ROOT / "csrc") if not p.as_posix().endswith(fault.kernel)]
    shim = Shim(cuda_shim.build(ROOT / "csrc", [kernel, *files]))
    shim.reset()
    with pytest.raises(AssertionError) as failure:
        run(shim, fault)
    if fault.kind == "unwritten":
        assert "were never written" in str(failure.value)
        return
    (first, *_) = [e for e in shim.errors() if e.startswith(f"{fault.kind} at ")] or [None]
    assert first, shim.errors()
    if fault.at:
        named = fault.named or fault.file
        lines = (tmp_path / "csrc" / "cuda" / named).read_text().splitlines()
        possible = [i + 1 for i, line in enumerate(lines) if fault.at in line]
        where = first.removeprefix(f"{fault.kind} at ").split(" in '")[0]
        file, _, line = where.rpartition(":")
        assert file.endswith(named) and int(line) in possible, first


def test_the_kernels_as_they_are_have_none_of_them(shim):
    for kernel in (PRODUCT, SUMS, MAX, TENSOR, PIXELS, FIRST):
        shim.reset()
        run(shim, next(f for f in FAULTS.values() if f.kernel == kernel))
        assert shim.errors() == []


def test_the_page_lists_the_planted_faults():
    page = (ROOT / "docs" / "simt.md").read_text()
    for name, fault in FAULTS.items():
        where = ", with file and line" if fault.at else ""
        assert f"| {name} | `{fault.file}` | {fault.kind}{where} |" in page, name
