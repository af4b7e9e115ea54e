"""Static evidence: the bytes that blocks read and write beside the compulsory ones (each element of
the tensors once), by the SIMT shim; the committed figures of the compiler, and how they are read.
test_nvcc.py compares those with nvcc, where it is. None of them is of a GPU."""

import pytest
import torch
from cases import ConvCase, PoolCase
from cuda_calls import conv_shape, dense, pool_shape
from cuda_shim import Tuning

from benchmarks.gpu import evidence, machine_code

MOST = 1.2  # neighbouring blocks read the rows between them twice
DEPTHWISE = ConvCase("3x3", 1, 8, 28, 28, 8, 3, 3, padding=(1, 1, 1, 1), groups=8)
POOL = PoolCase("2x2", 1, 8, 28, 28, (2, 2), (2, 2))


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("what", ["depthwise", "max pool", "average pool"])
def test_bytes_moved_beside_compulsory_ones(shim, what, last):
    shim.reset(counting=True)
    case = DEPTHWISE if what == "depthwise" else POOL
    x = dense(case.input_size, torch.float32, last, torch.Generator().manual_seed(1))
    at, tuning = shim.give("x", x), Tuning()
    if what == "depthwise":
        count = 8 * 28 * 28
        w, y = shim.give("w", torch.ones(8, 1, 3, 3)), shim.memory("y", count, 4)
        shape = conv_shape(case, last, last, last)
        code = shim.call("conv2d_forward", 0, shape, at, w, None, y, 0, tuning, None)
    else:
        count = 8 * 14 * 14
        shape, y = pool_shape(case, last), shim.memory("y", count, 4)
        if what == "max pool":
            code = shim.call("max_pool2d_forward", 0, shape, at, y, None, tuning, None)
        else:
            code = shim.call("avg_pool2d_forward", 0, shape, at, y, tuning, None)
    counted = shim.counters()
    assert code == 0 and shim.errors() == [] and counted["launches"] == 1
    moved = counted["bytes_read"] + counted["bytes_written"]
    ratio = moved / (4 * (x.numel() + count))
    print(f"{what}, {'nhwc' if last else 'nchw'}: {ratio:.3f} of the compulsory bytes;", counted)
    assert 1 <= ratio <= MOST


def test_committed_figures_keep_the_rules():
    known = evidence.committed()
    assert set(known["kernels"]) == set(evidence.ARCHITECTURES)
    written = {name for source in evidence.sources() for name in evidence.kernels_of(source)}
    for architecture, rows in known["kernels"].items():
        assert {name.partition("<")[0] for name in rows} == written, architecture
        for name, row in rows.items():
            assert row["spills"] == 0, (architecture, name)
            assert row.get("divisions", 0) == row.get("local memory", 0) == 0, name
            assert row["shared"] <= 48 << 10 and row["occupancy"] > 0, (architecture, name)


def test_the_page_shows_the_committed_figures():
    known = evidence.committed()
    shown = evidence.PAGE.read_text().split(evidence.BEGIN)[1].split(evidence.END)[0]
    assert shown == evidence.tables(known)
    assert known["roofline"] == evidence.roofline()


@pytest.mark.parametrize(
    ("architecture", "threads", "registers", "shared", "expected"),
    [("80", 256, 32, 0, 1.0), ("80", 256, 40, 0, 0.75), ("80", 256, 64, 0, 0.5),
     ("75", 256, 64, 0, 1.0), ("120", 256, 80, 0, 0.5), ("80", 128, 118, 37888, 0.25),
     ("80", 256, 255, 0, 0.125)],
)  # fmt: skip
def test_occupancy(architecture, threads, registers, shared, expected):
    assert evidence.occupancy(architecture, threads, registers, shared) == expected


PTXAS = """ptxas info    : Compiling entry function '_Z1kPf' for 'sm_80'
ptxas info    : Function properties for _Z1kPf
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 80 registers, used 1 barriers, 17408 bytes smem, 400 bytes cmem[0]
"""
SASS = """
.L_x_0:
        /*0010*/                   LDG.E.128 R4, [R2.64] ;
        /*0020*/                   LDS R8, [R3] ;
.L_x_1:
        /*0030*/                   FFMA R4, R5, R6, R4 ;
        /*0040*/              @!P0 LDS.128 R8, [R3] ;
        /*0050*/                   F2I.FTZ.U32.TRUNC.NTZ R3, R2 ;
        /*0060*/               @P0 BRA `(.L_x_1) ;
        /*0070*/               @P1 BRA `(.L_x_0) ;
.L_x_2:
        /*0080*/                   BRA `(.L_x_2) ;
"""


def test_what_ptxas_and_nvdisasm_say_is_read():
    row = {"registers": 80, "spills": 20, "stack": 16, "shared": 17408}
    assert evidence.parse_ptxas(PTXAS) == {"_Z1kPf": row}
    loop = machine_code.hot_loop(SASS.splitlines())
    assert loop == {"instructions": 4, "share of products": 0.25, "loads": 1, "128-bit loads": 1,
                    "divisions": 1, "local memory": 0}  # fmt: skip
    assert evidence.worse({"registers": 81, "occupancy": 0.5}, {"registers": 80, "occupancy": 0.4})
    assert not evidence.worse({"registers": 79, "occupancy": 0.5}, {**row, "occupancy": 0.5})
