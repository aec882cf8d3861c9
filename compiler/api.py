"""The compiler as a function: all passes in order."""

import contextlib
import dataclasses
import gc
import math

from squeezelerator.compiler.codegen.assemble import Placed
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.tiling import Chooser, Situation
from squeezelerator.compiler.lowering.channel_split import split_for_pools
from squeezelerator.compiler.lowering.lower import lower
from squeezelerator.compiler.mapping.stream_cache import Plans
from squeezelerator.compiler.search.candidate import View
from squeezelerator.compiler.search.channel_tiling import Cutter
from squeezelerator.compiler.search.configuration import strategies
from squeezelerator.compiler.search.portfolio import Contest
from squeezelerator.models.arithmetic.quantised_network import QuantError
from squeezelerator.spec.network.layer import NETWORK_INPUT
from squeezelerator.spec.program import Program, TensorMap


@dataclasses.dataclass
class Compiled:
    """A program and the forms that led to it, for reports and tests."""

    program: Program
    graph: object
    schedule: object
    steps: list


def _tensor_maps(graph, sched, table, qnet, cfg, offsets, shapes):
    """(inputs, outputs): outputs are the layers of which everything has been stored."""
    inputs, outputs = [], []
    stored = {item.what for group in sched.groups for item in group.items if item.kind == "store"}
    incomplete = {op.out.home for op in graph.ops if op.out not in stored}
    for name, (c, h, w, pieces) in shapes.items():
        if name == NETWORK_INPUT:
            layout = graph.input_layout
            inputs.append(TensorMap(name, offsets[name], *table.input_shape, qnet.input_frac, (c, h, w), pieces,
                                    tuple(layout.phases), tuple(layout.pad), cfg.n, cfg.row_bytes))  # fmt: skip
        elif name in table.by_name and name not in incomplete:
            outputs.append(TensorMap(name, offsets[name], c, h, w, qnet.frac_of(name), (c, h, w), pieces, (1, 1), (0, 0),
                                     cfg.n, cfg.row_bytes))  # fmt: skip
    return inputs, outputs


def _fit(graph, cfg, dataflow, fusion, objective, views):
    """(graph, schedule) with every buffer in its place; maps whose lines are too large are cut along the channels."""
    plans = Plans(cfg)
    if fusion:
        graph = split_for_pools(graph, cfg.n, lambda g, pairs: _pairs_cost(g, cfg, dataflow, views[0], plans, pairs))
        graph = Cutter(cfg, dataflow, views[-1], plans).run(graph)
    # What has to be cut is found without a search: one operation at a time, the likeliest choice.
    graph = View(graph, cfg, dataflow, False, views[0], plans, thorough=False).graph
    plans.forget(graph)
    return Contest(graph, cfg, dataflow, fusion, objective, views if fusion else views[:1], plans).winner()


def _pairs_cost(graph, cfg, dataflow, strategy, plans, pairs):
    """Cycles of pairs of operations, each pair as a group with the whole buffer for itself."""
    chooser, total = Chooser(graph, cfg, dataflow, strategy, plans), 0
    for pair in pairs:
        between, result = pair[0].out, pair[1].out
        situation = Situation(list(pair), frozenset(), frozenset(), frozenset([result]), frozenset([between]))
        choice = chooser.best(situation, cfg.act_rows)
        total += choice.cost if choice else math.inf
    return total


@contextlib.contextmanager
def _uncollected():
    """Keep Python from looking for cycles among the many small objects of trials: there are next to none, and it takes half the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@_uncollected()
def compile_full(qnet, cfg, *, dataflow="auto", fusion=True, objective="cycles", effort="normal"):
    """Compile and keep the intermediate forms; see :func:`compile_network`."""
    try:
        qnet.validate(acc_bits=cfg.acc_bits)
    except QuantError as error:
        raise CompileError(str(error)) from None
    views = strategies(objective, effort)
    graph, sched = _fit(lower(qnet, cfg), cfg, dataflow, fusion, objective, views)
    return _emit(qnet, cfg, graph, sched)


def _emit(qnet, cfg, graph, sched):
    """The :class:`Compiled` program of a schedule."""
    table, placed = qnet.table, Placed(cfg, graph, sched)
    inputs, outputs = _tensor_maps(graph, sched, table, qnet, cfg, placed.offsets, placed.shapes)
    program = Program(
        cfg=cfg, network=table.name, instructions=placed.code, constants_offset=placed.constants, constants=placed.image.tobytes(),
        prog_offset=placed.prog_offset, inputs=inputs, outputs=outputs, results=list(table.outputs),
        layers=[layer.name for layer in table.layers], layer_of=[step.layer for step in placed.steps] + [None],
        table=table, quantisation=_quantisation(qnet),
    )  # fmt: skip
    return Compiled(program, graph, sched, placed.steps)


def _quantisation(qnet):
    """What the numbers mean: fractional bits of every map, and whether the weights were drawn at random."""
    return {
        "synthetic": bool(qnet.synthetic),
        "input_frac": int(qnet.input_frac),
        "frac_out": {layer.name: int(qnet.frac_of(layer.name)) for layer in qnet.table.layers},
    }


def compile_network(qnet, cfg, *, dataflow="auto", fusion=True, objective="cycles", effort="normal"):
    """Compile a quantised network for a machine.

    Parameters
    ----------
    qnet : models.arithmetic.quantised_network.QuantNetwork
    cfg : spec.machine.MachineConfig
    dataflow : str
        ``"auto"`` (the faster for each convolution), ``"os"`` or ``"ws"``.
    fusion : bool
        Whether groups of layers may run band by band; False: layer by layer.
    objective : str
        ``"cycles"``, or ``"energy"``: less DRAM traffic even where that takes a little longer.
    effort : str
        ``"normal"``, or ``"high"``: a longer search.

    Returns
    -------
    spec.program.Program

    Raises
    ------
    CompileError
        If the machine cannot run the network; one line.
    """
    return compile_full(qnet, cfg, dataflow=dataflow, fusion=fusion, objective=objective, effort=effort).program
