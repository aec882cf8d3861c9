"""The compiler as a function: all passes in order."""

import dataclasses
import math

from compiler.allocate import NoRoom
from compiler.choice import Chooser, Situation
from compiler.cuts import Cutter
from compiler.emit import Emitter, Image
from compiler.errors import CompileError, GroupError, StreamError
from compiler.lower import lower
from compiler.order import order
from compiler.program import Program, TensorMap
from compiler.schedule import Scheduler
from compiler.split import split, split_for_pools
from compiler.sync import synchronise
from models.layer_table import NETWORK_INPUT
from models.quantised import QuantError

#: Everything in DRAM begins at a multiple of this many bytes: whole bursts.
_ALIGN = 256
#: Shares of the activation buffer that are tried until the buffers can be placed.
_CAPACITIES = (1.0, 0.85, 0.7, 0.5)


@dataclasses.dataclass
class Compiled:
    """A program and the forms that led to it, for reports and tests."""

    program: Program
    graph: object
    schedule: object
    steps: list


def _homes(graph, sched, cfg):
    """{name: byte offset} of every map that lies in DRAM, their number of bytes, and their shapes {name: (c, h, w, pieces)}."""
    used = {graph.input.home}
    for group in sched.groups:
        used |= {item.what.home for item in group.items if item.kind != "step"}
    shapes, offsets, at = {}, {}, 0
    for tensor in sorted((graph.input, *(op.out for op in graph.ops)), key=lambda t: t.home_block):
        if tensor.home in used:
            c, h, w, pieces = shapes.get(tensor.home, (0, tensor.h, tensor.w, ()))
            shapes[tensor.home] = (c + tensor.c, h, w, (*pieces, tensor.c))
    for name, (_, h, w, pieces) in shapes.items():
        offsets[name] = at
        size = sum(-(-piece // cfg.n) for piece in pieces) * h * w * cfg.row_bytes
        at += -(-size // _ALIGN) * _ALIGN
    return offsets, at, shapes


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


def _fit(graph, cfg, dataflow, fusion):
    """(graph, schedule) with every buffer in its place; maps whose lines are too large are cut along the channels."""
    if fusion:
        graph = split_for_pools(graph, cfg.n, lambda g, pairs: _pairs_cost(g, cfg, dataflow, pairs))
        graph = Cutter(cfg, dataflow).run(graph)
    # What has to be cut is found without a search: one operation at a time, the likeliest choice.
    for thorough in (False, True):
        while True:
            try:
                sched = _place(graph, cfg, dataflow, fusion and thorough, thorough)
                break
            except GroupError as error:
                smaller = split(graph, error.tensor, cfg.n)
                if smaller is None:
                    raise
                graph = smaller
    return graph, sched


def _pairs_cost(graph, cfg, dataflow, pairs):
    """Cycles of pairs of operations, each pair as a group with the whole buffer for itself."""
    chooser, total = Chooser(graph, cfg, dataflow), 0
    for pair in pairs:
        between, result = pair[0].out, pair[1].out
        situation = Situation(list(pair), frozenset(), frozenset(), frozenset([result]), frozenset([between]))
        choice = chooser.best(situation, cfg.act_rows)
        total += choice.cost if choice else math.inf
    return total


def _place(graph, cfg, dataflow, fusion, thorough):
    """A schedule whose buffers have all found a place, for as much of the activation buffer as that allows."""
    failure = None
    chooser = Chooser(graph, cfg, dataflow, thorough)
    for share in _CAPACITIES:
        try:
            return Scheduler(graph, cfg, chooser, fusion, int(cfg.act_rows * share)).run()
        except NoRoom as error:
            failure = failure or error
        except GroupError:
            # With less room an operation may not fit at all; then what stopped the larger one is the better message.
            if failure:
                break
            raise
    raise failure


def _instructions(sched, cfg, constants, offsets):
    """(image, steps): weights that find no place beside others are fetched more often until they do."""
    again = {}
    while True:
        image = Image(cfg, _ALIGN)
        events = Emitter(sched, cfg, image, constants, offsets, again).run()
        try:
            return image, order(events, cfg, constants + image.size)
        except StreamError as error:
            if again.get(error.op) == 2:
                others = [op for group in sched.groups for op in group.plans if error.op in group.plans and again.get(op) != 2]
                if not others:
                    raise
                again.update(dict.fromkeys(others, 2))
            again[error.op] = min(2, again.get(error.op, 0) + 1)


def compile_full(qnet, cfg, *, dataflow="auto", fusion=True):
    """Compile and keep the intermediate forms; see :func:`compile_network`."""
    try:
        qnet.validate(acc_bits=cfg.acc_bits)
    except QuantError as error:
        raise CompileError(str(error)) from None
    table = qnet.table
    graph = lower(qnet, cfg)
    graph, sched = _fit(graph, cfg, dataflow, fusion)
    offsets, constants, shapes = _homes(graph, sched, cfg)
    image, steps = _instructions(sched, cfg, constants, offsets)
    prog_offset = constants + image.size
    code = synchronise(steps, cfg, prog_offset)
    inputs, outputs = _tensor_maps(graph, sched, table, qnet, cfg, offsets, shapes)
    program = Program(
        cfg=cfg, network=table.name, instructions=code, constants_offset=constants, constants=image.tobytes(),
        prog_offset=prog_offset, inputs=inputs, outputs=outputs, results=list(table.outputs),
        layers=[layer.name for layer in table.layers], layer_of=[step.layer for step in steps] + [None],
        table=table, quantisation=_quantisation(qnet),
    )  # fmt: skip
    return Compiled(program, graph, sched, steps)


def _quantisation(qnet):
    """What the numbers mean: fractional bits of every map, and whether the weights were drawn at random."""
    return {
        "synthetic": bool(qnet.synthetic),
        "input_frac": int(qnet.input_frac),
        "frac_out": {layer.name: int(qnet.frac_of(layer.name)) for layer in qnet.table.layers},
    }


def compile_network(qnet, cfg, *, dataflow="auto", fusion=True):
    """Compile a quantised network for a machine.

    Parameters
    ----------
    qnet : models.quantised.QuantNetwork
    cfg : rtl.config.MachineConfig
    dataflow : str
        ``"auto"`` (the faster for each convolution), ``"os"`` or ``"ws"``.
    fusion : bool
        Whether groups of layers may run band by band; False: layer by layer.

    Returns
    -------
    compiler.program.Program

    Raises
    ------
    CompileError
        If the machine cannot run the network; one line.
    """
    return compile_full(qnet, cfg, dataflow=dataflow, fusion=fusion).program
