"""The compiler as a function: all passes in order."""

import contextlib
import dataclasses
import gc
import math

from compiler.allocate import NoRoom
from compiler.aside import Aside
from compiler.choice import Chooser, Situation
from compiler.cuts import Cutter
from compiler.errors import CompileError, GroupError
from compiler.judge import cycles
from compiler.lower import lower
from compiler.plans import Plans
from compiler.program import Program, TensorMap
from compiler.schedule import Scheduler
from compiler.split import split, split_for_pools
from compiler.strategy import strategies, weights
from compiler.sync import synchronise
from compiler.trial import ordered
from compiler.walks import Walks
from models.layer_table import NETWORK_INPUT
from models.quantised import QuantError
from rtl.dma_params import instruction_beats
from rtl.isa import LOAD, STORE

#: Everything in DRAM begins at a multiple of this many bytes: whole bursts.
_ALIGN = 256
#: Operations from which on it is worth a process to look at a network in another way.
_ASIDE = 12
#: Shares of the activation buffer that are tried if the buffers cannot be placed in all of it.
_CAPACITIES = (0.85, 0.7, 0.5)
#: A view that expects so many times the cycles of another is hardly ever faster in the end.
_HOPELESS = 1.025


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


def _fit(graph, cfg, dataflow, fusion, objective, views):
    """(graph, schedule) with every buffer in its place; maps whose lines are too large are cut along the channels."""
    plans = Plans(cfg)
    if fusion:
        graph = split_for_pools(graph, cfg.n, lambda g, pairs: _pairs_cost(g, cfg, dataflow, views[0], plans, pairs))
        graph = Cutter(cfg, dataflow, views[-1], plans).run(graph)
    # What has to be cut is found without a search: one operation at a time, the likeliest choice.
    graph = _View(graph, cfg, dataflow, False, views[0], plans, thorough=False).graph
    plans.forget(graph)
    views = views if fusion else views[:1]
    every = views[0].effort.all_views

    def cost_of(view, schedule):
        placed, counts = _Placed(cfg, view.graph, schedule, contents=False), weights(objective)
        rows = sum(i["rows"] * i["lines"] for i in placed.code if i.unit in (LOAD, STORE))
        beats = rows * cfg.row_beats + len(placed.code) * instruction_beats(cfg)
        cost = cycles(cfg, placed.code, placed.steps, placed.prog_offset) + counts["beat"] * beats
        if counts["unit"]:
            plans = [(op, plan.mode, group.steps(op)) for group in schedule.groups for op, plan in group.plans.items()]
            cost += counts["unit"] * sum(view.chooser.onchip_energy(*one) for one in plans)
        return cost

    def best(which):
        """(cost, number of the view, (graph, schedule)) of the best of some views; infinite, with a message, if none has a schedule."""
        found, looks, walks = [], [], Walks()
        for number in which:
            try:
                looks.append((number, _View(graph, cfg, dataflow, fusion, views[number], plans, walks)))
            except CompileError as error:
                found.append((math.inf, number, str(error)))
        # Where one of these has a schedule, those that expect to be slower by more than expectations are wrong are followed no further,
        # with less effort none.
        least = {}
        for number, view in sorted(looks, key=lambda look: (look[1].cost, look[0] if every else -look[0])):
            beat = views[number].beat
            if beat in least and (not every or view.cost > _HOPELESS * least[beat]):
                continue
            try:
                schedule = view.schedule()
            except CompileError as error:
                found.append((math.inf, number, str(error)))
                continue
            least[beat] = min(least.get(beat, math.inf), view.cost)
            found.append((cost_of(view, schedule) if len(views) > 1 else 0, number, (view.graph, schedule)))
        return min(found, key=lambda way: way[:2])

    # In all but small graphs half of the views are followed in a process beside this one; views that share walks stay together.
    numbers = sorted(range(len(views)), key=lambda number: (0 if every else not views[number].fine, number))
    if len(views) > 1 and len(graph.ops) >= _ASIDE:
        cut = sum(view.fine for view in views)
        here, there = (numbers[::2], numbers[1::2]) if every else (numbers[:cut], numbers[cut:])
        beside = Aside(lambda: best(there), [*graph.objects(), *plans])
        cost, _, found = min(best(here), beside.result(), key=lambda way: way[:2])
    else:
        cost, _, found = best(numbers)
    if cost == math.inf:
        raise CompileError(found)
    return found


def _pairs_cost(graph, cfg, dataflow, strategy, plans, pairs):
    """Cycles of pairs of operations, each pair as a group with the whole buffer for itself."""
    chooser, total = Chooser(graph, cfg, dataflow, strategy, plans), 0
    for pair in pairs:
        between, result = pair[0].out, pair[1].out
        situation = Situation(list(pair), frozenset(), frozenset(), frozenset([result]), frozenset([between]))
        choice = chooser.best(situation, cfg.act_rows)
        total += choice.cost if choice else math.inf
    return total


class _View:
    """A network seen with one strategy: the way through it that this finds, and what it is expected to cost.

    What does not fit the buffer even by itself is cut along the channels.
    """

    def __init__(self, graph, cfg, dataflow, fusion, strategy, plans, walks=None, thorough=True):
        self.cfg, self.fusion = cfg, fusion
        while True:
            self.chooser = Chooser(graph, cfg, dataflow, strategy, plans, thorough, walks)
            self.graph = graph
            try:
                self.scheduler = self._scheduler(1.0)
                self.cost, self.path = self.scheduler.find()
                if not thorough:
                    self.schedule()  # only a look at what has to be cut: the buffers must find places, too
                return
            except GroupError as error:
                graph = split(graph, error.tensor, cfg.n)
                if graph is None:
                    raise

    def _scheduler(self, share):
        return Scheduler(self.graph, self.cfg, self.chooser, self.fusion, int(self.cfg.act_rows * share))

    def schedule(self):
        """The schedule, every buffer in its place, for as much of the activation buffer as that allows."""
        try:
            return self.scheduler.settle(self.path)
        except NoRoom as error:
            failure = error
        for share in _CAPACITIES:
            try:
                scheduler = self._scheduler(share)
                return scheduler.settle(scheduler.find()[1])
            except NoRoom:
                continue
            except GroupError:
                break  # with less room an operation may not fit at all; what stopped the larger one is the better message
        raise failure


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


class _Placed:
    """A schedule's instructions (``code``, from ``steps``) and where everything lies in memory; without ``contents`` the constants are
    only room for them."""

    def __init__(self, cfg, graph, sched, contents=True):
        self.offsets, self.constants, self.shapes = _homes(graph, sched, cfg)
        emitter, self.steps = ordered(sched, cfg, _ALIGN, self.constants, self.offsets, contents)
        self.image = emitter.image
        self.prog_offset = self.constants + self.image.size
        self.code = synchronise(self.steps, cfg)


def _emit(qnet, cfg, graph, sched):
    """The :class:`Compiled` program of a schedule."""
    table, placed = qnet.table, _Placed(cfg, graph, sched)
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
    qnet : models.quantised.QuantNetwork
    cfg : rtl.config.MachineConfig
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
    compiler.program.Program

    Raises
    ------
    CompileError
        If the machine cannot run the network; one line.
    """
    return compile_full(qnet, cfg, dataflow=dataflow, fusion=fusion, objective=objective, effort=effort).program
