"""The compiler as a function: all passes in order."""

import contextlib
import dataclasses
import gc
import math

from squeezelerator.compiler.codegen.assemble import Placed
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.tiling import TilingSearch
from squeezelerator.compiler.lowering.channel_split import split_for_pools
from squeezelerator.compiler.lowering.lower import lower
from squeezelerator.compiler.mapping.stream_cache import PlanCache
from squeezelerator.compiler.search.candidate import Candidate, SearchProblem
from squeezelerator.compiler.search.channel_tiling import ChannelTiler
from squeezelerator.compiler.search.configuration import search_plan
from squeezelerator.compiler.search.portfolio import Portfolio
from squeezelerator.models.arithmetic.quantised_network import QuantError
from squeezelerator.spec.network.layer import NETWORK_INPUT
from squeezelerator.spec.program import Program, TensorMap
from squeezelerator.spec.verify import VerifyError, verify


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
    stored = {step.what for group in sched.groups for step in group.steps if step.kind == "store"}
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


def _fit(graph, cfg, dataflow, fusion, objective, configs):
    """(graph, schedule) with every buffer in its place; maps whose lines are too large are cut along the channels."""
    plan_cache = PlanCache(cfg)
    if fusion:
        graph = split_for_pools(graph, cfg.n, lambda g, pairs: _pairs_cost(g, cfg, dataflow, configs.pool_split, plan_cache, pairs))
        graph = ChannelTiler(cfg, dataflow, configs.channel_tiling, plan_cache).run(graph)
    # What has to be cut is found without a search: one operation at a time, the likeliest choice.
    graph = Candidate(SearchProblem(graph, cfg, dataflow, False, plan_cache), configs.feasibility, thorough=False).graph
    plan_cache.forget(graph)
    candidates = configs.candidates if fusion else (configs.unfused,)
    return Portfolio(SearchProblem(graph, cfg, dataflow, fusion, plan_cache), objective, candidates).best()


def _pairs_cost(graph, cfg, dataflow, config, plan_cache, pairs):
    """Cycles of pairs of operations, each pair as a group with the whole buffer for itself."""
    tiling_search, total = TilingSearch(graph, cfg, dataflow, config, plan_cache), 0
    for pair in pairs:
        between, result = pair[0].out, pair[1].out
        context = GroupContext(list(pair), frozenset(), frozenset(), frozenset([result]), frozenset([between]))
        tiling = tiling_search.best(context, cfg.act_rows)
        total += tiling.cost if tiling else math.inf
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
    configs = search_plan(objective, effort)
    graph, sched = _fit(lower(qnet, cfg), cfg, dataflow, fusion, objective, configs)
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
    try:
        verify(program)
    except VerifyError as error:
        raise CompileError(f"internal error, please report it: the program is not safe to run: {error}") from None
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
