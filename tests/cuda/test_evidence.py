"""Static evidence: the bytes that blocks read and write beside the compulsory ones (each element of
the tensors once), by the SIMT shim; the committed figures of the compiler, and how they are read.
test_nvcc.py compares those with nvcc, where it is. None of them is of a GPU."""

import pytest

from benchmarks.gpu import bytes_moved, evidence, machine_code


def test_no_call_moves_more_bytes_than_committed(shim):
    """Nor conflicts more in shared memory; pools and depthwise move 1.2 of the compulsory bytes."""
    found, known = bytes_moved.bytes_moved(shim), evidence.committed()["bytes"]
    assert found.keys() == known.keys()
    for call, row in found.items():
        assert row["moved"] >= 1, call
        assert row["moved"] <= bytes_moved.MOST or not call.startswith(bytes_moved.BOUND), call
        assert row.keys() == known[call].keys()
        worse = {key: row[key] for key in row if row[key] > 1.01 * known[call][key]}
        assert not worse, (call, worse, known[call])


def test_committed_figures_keep_the_rules():
    known = evidence.committed()
    assert set(known["kernels"]) == set(evidence.ARCHITECTURES)
    types = {f"<{name}>" for name in evidence.TYPES}
    written = {name for source in evidence.sources() for name in evidence.kernels_of(source)}
    for architecture, rows in known["kernels"].items():
        assert {name.partition("<")[0] for name in rows} == written, architecture
        depthwise = {name.removeprefix("gather_planes") for name in rows if "planes" in name}
        assert depthwise == types, architecture
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
