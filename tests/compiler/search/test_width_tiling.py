"""Maps too wide for the activation buffer: strips of columns, each with the halo that it needs."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.checks import check

from squeezelerator.compiler.api import compile_full
from squeezelerator.compiler.compile_options import CompileOptions
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.ir.graph import Op, OpKind, Tensor
from squeezelerator.compiler.lowering.width_strips import columns_read, strips
from squeezelerator.compiler.pipeline.stage import Compilation, run
from squeezelerator.compiler.pipeline.stages import STAGES, stage_names
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.isa import MEM_ACT
from squeezelerator.spec.machine import MachineConfig

SMALL = MachineConfig(n=2, buffer_kib=0.5, rf=4, sectors=2)


def in_strips(compiled, layer):
    """The operations of a layer that compute columns of its map."""
    return [op for op in compiled.graph.ops if op.layers[0] == layer and op.out.w < op.out.dram_w]


def wide(kind):
    """A network whose layer ``kind`` has lines that the smallest buffer of 2 x 2 PEs does not hold."""
    net = TableBuilder("wide", (4, 5, 90))
    if kind in ("padded", "strided", "asymmetric"):
        how = {"padded": {"pad": 1}, "strided": {"stride": 2}, "asymmetric": {"pad": (2, 0), "stride": (3, 1)}}[kind]
        net.conv(kind, 5, 3, activation="relu", **how)
    elif kind == "depthwise":
        net.conv(kind, 4, 3, groups=4, pad=1)
    elif kind == "grouped":
        net.conv(kind, 6, 3, groups=2)
    elif kind == "pool":
        net.max_pool(kind, 3, 2, pad=1)
    elif kind == "average":
        net.avg_pool(kind, (4, 3))
    elif kind == "sum":
        net.conv("first", 4, 3, pad=1)
        net.conv(kind, 4, 3, pad=1)
        net.add("added", "first", kind)
    elif kind == "concatenation":
        net.conv("first", 3, 1)
        net.conv(kind, 3, 3, source=("first", "input"))
    return net.table()


KINDS = ("padded", "strided", "asymmetric", "depthwise", "grouped", "pool", "average", "sum", "concatenation")


@pytest.mark.parametrize("kind", KINDS)
def test_strips_compute_what_the_golden_model_computes(kind):
    quantised = synthetic(wide(kind))
    for fusion in (True, False):
        found = compile_full(quantised, SMALL, fusion=fusion)
        check(quantised, found.program)
    assert len(in_strips(found, kind)) > 1


def test_what_fits_is_not_cut():
    quantised = synthetic(zoo.get("tiny_all"))
    assert all(op.out.w == op.out.dram_w for op in compile_full(quantised, MachineConfig(n=4)).graph.ops)


def test_strips_share_their_weights():
    # Columns of one map differ in nothing but where they lie: weights lie in DRAM once for each width that there is, and they are three.
    constants = []
    for width in (12, 400):
        net = TableBuilder("wide", (4, 3, width))
        net.conv("conv", 2, 3, pad=1)
        found = compile_full(synthetic(net.table(), 0, 0.0), SMALL)
        constants.append(len(found.program.constants))
    assert len(in_strips(found, "conv")) > 10
    assert constants[1] <= 3 * constants[0]


def test_transfers_read_every_column_once_and_the_halo_twice():
    net = TableBuilder("wide", (4, 3, 100))
    net.conv("conv", 2, 3, pad=1)
    found = compile_full(synthetic(net.table()), SMALL)
    pieces = in_strips(found, "conv")
    loaded = sum(i["rows"] * i["lines"] for i in found.program.instructions if i.op == "LOAD" and i["mem"] == MEM_ACT)
    assert loaded == 2 * 3 * (100 + 2 * (len(pieces) - 1))
    assert sum(i["rows"] * i["lines"] for i in found.program.instructions if i.op == "STORE") == 3 * 100


@settings(deadline=None, derandomize=True, max_examples=200)
@given(width=st.integers(1, 40), kernel=st.integers(1, 9), stride=st.integers(1, 4), pad=st.integers(0, 12), size=st.integers(1, 12))
def test_every_column_of_a_strip_reads_what_it_reads_in_the_map(width, kernel, stride, pad, size):
    columns = (width + 2 * pad - kernel) // stride + 1
    if columns < 1:
        return
    whole = Op("conv", ("conv",), OpKind.CONV, (Tensor("in", 1, 1, width, "in"),), Tensor("out", 1, 1, columns, "out"),
               kernel=(1, kernel), stride=(1, stride), pad=(0, pad))  # fmt: skip

    def read(op, column):
        """Columns of the map in DRAM that an output column reads, None for padding."""
        part = op.parts[0]
        places = range(column * stride - op.pad[1], column * stride - op.pad[1] + kernel)
        return [part.home_column + x if 0 <= x < part.w else None for x in places]

    at = 0
    for piece in strips(whole, size):
        assert piece.out.home_column == at and piece.parts[0].dram_w == width
        for column in range(piece.out.w):
            assert read(piece, column) == read(whole, at + column)
        at += piece.out.w
    assert at == columns
    assert columns_read(whole, 0, columns)[0] == 0


def test_what_strips_read_from_dram_is_stored_there():
    # The pool is sliced by channels after its reader has been cut.
    cfg, options = MachineConfig(n=4), CompileOptions()
    compilation = Compilation(synthetic(zoo.get("sqnxt23v5")), cfg, options)
    run([stage for stage in STAGES[: stage_names().index("search")] if stage.name != "split-to-fit"], compilation)
    graph = compilation.alternatives[0].graph
    made = graph.producers()
    homes = {tensor.home for op in graph.ops for tensor in op.reads if tensor not in made}
    assert any(op.kind is OpKind.MAX_POOL and op.out.home in homes for op in graph.ops)
    assert all(op.out in graph.sliced for op in graph.ops if op.out.home in homes)


@settings(deadline=None, derandomize=True, max_examples=12, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_random_wide_layers_on_small_machines(seed):
    check_random(seed)


@pytest.mark.slow
@settings(deadline=None, derandomize=True, max_examples=150, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_many_random_wide_layers_on_small_machines(seed):
    check_random(seed)


def check_random(seed):
    """One to three wide layers of random shapes on a machine with a small buffer; what does not fit at all is refused with a remedy."""
    rand = np.random.default_rng(seed)

    def pick(*choices):
        return choices[rand.integers(len(choices))]

    n = pick(2, 2, 3, 4)
    cfg = MachineConfig(n=n, buffer_kib=n * n / 8 * pick(1, 1, 2), rf=pick(4, 8, 17), sectors=pick(2, 4), bus_bits=pick(64, 128))
    net = TableBuilder("random", (pick(1, 3, 4, 9), int(rand.integers(1, 9)), pick(30, 60, 100)))
    for number in range(pick(1, 2, 3)):
        channels, height, width = net.shape(net.last if number else "input")
        kernel = int(rand.integers(1, min(5, width) + 1)), int(rand.integers(1, min(5, height) + 1))
        how = {"stride": pick(1, 1, 2, 3), "pad": (int(rand.integers(kernel[0])), int(rand.integers(kernel[1])))}
        kind = pick("conv", "conv", "depthwise", "pool", "sum")
        if kind == "pool":
            net.max_pool(f"pool{number}", kernel, stride=how["stride"])
        elif kind == "sum":
            net.conv(f"conv{number}", channels, (kernel[0] | 1, 1), pad=(kernel[0] // 2, 0))
            net.add(f"sum{number}", net.last, "input" if net.shape("input") == net.shape(net.last) else net.last)
        else:
            depthwise = kind == "depthwise"
            net.conv(f"conv{number}", channels if depthwise else pick(1, 4, 7, 16), kernel, groups=channels if depthwise else 1, **how)
    quantised = synthetic(net.table())
    try:
        found = compile_full(quantised, cfg, fusion=bool(pick(True, False)))
    except CompileError as error:
        assert "helps" in str(error)
        return
    check(quantised, found.program)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 4])
def test_squeezenext_on_the_smallest_machines(n):
    quantised = synthetic(zoo.get("sqnxt23v5"))
    found = compile_full(quantised, MachineConfig(n=n))
    assert in_strips(found, "conv1")
    check(quantised, found.program)


@pytest.mark.slow
def test_wide_map_on_the_usual_machine():
    net = TableBuilder("wide", (64, 320, 320))
    net.conv("conv", 8, 3, pad=1)
    quantised = synthetic(net.table())
    found = compile_full(quantised, MachineConfig(n=16))
    assert in_strips(found, "conv")
    check(quantised, found.program)
