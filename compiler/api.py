"""The compiler as a function: all passes in order."""

import dataclasses

from compiler.allocate import NoRoom, allocate
from compiler.emit import Emitter, Image
from compiler.errors import CompileError, GroupError
from compiler.group import make_groups
from compiler.lower import lower
from compiler.order import order
from compiler.program import Program, TensorMap
from compiler.schedule import schedule
from compiler.split import split
from compiler.sync import synchronise
from models.layer_table import NETWORK_INPUT
from models.quantised import QuantError

#: Everything in DRAM begins at a multiple of this many bytes: whole bursts.
_ALIGN = 256
#: Shares of the activation buffer that are tried until the buffers can be placed.
_CAPACITIES = (1.0, 0.97, 0.93, 0.88, 0.8, 0.7, 0.6, 0.5)


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


def _tensor_maps(graph, table, qnet, cfg, offsets, shapes):
    inputs, outputs = [], []
    for name, (c, h, w, pieces) in shapes.items():
        if name == NETWORK_INPUT:
            layout = graph.input_layout
            inputs.append(TensorMap(name, offsets[name], *table.input_shape, qnet.input_frac, (c, h, w), pieces,
                                    tuple(layout.phases), tuple(layout.pad), cfg.n, cfg.row_bytes))  # fmt: skip
        elif name in table.by_name:
            outputs.append(TensorMap(name, offsets[name], c, h, w, qnet.frac_of(name), (c, h, w), pieces, (1, 1), (0, 0),
                                     cfg.n, cfg.row_bytes))  # fmt: skip
    return inputs, outputs


def _fit(graph, cfg, dataflow, fusion):
    """(graph, schedule) with every buffer in its place; maps that are too large are cut along the channels."""
    failure = None
    for share in _CAPACITIES:
        try:
            return graph, _schedule(graph, cfg, dataflow, fusion, int(cfg.act_rows * share))
        except GroupError as error:
            # With less room a group may not fit at all; then what stopped the larger one is the better message.
            if failure:
                raise failure from None
            smaller = split(graph, error.tensor, cfg.n)
            if smaller is None:
                raise
            return _fit(smaller, cfg, dataflow, fusion)
        except NoRoom as error:
            failure = failure or error
    raise failure


def _schedule(graph, cfg, dataflow, fusion, capacity):
    sched = schedule(graph, cfg, dataflow, make_groups(graph, cfg, fusion), capacity)
    allocate(sched.buffers, cfg)
    return sched


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
    image = Image(cfg, _ALIGN)
    events = Emitter(sched, cfg, image, constants, offsets).run()
    prog_offset = constants + image.size
    steps = order(events, cfg, prog_offset)
    code = synchronise(steps, cfg, prog_offset)
    inputs, outputs = _tensor_maps(graph, table, qnet, cfg, offsets, shapes)
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
