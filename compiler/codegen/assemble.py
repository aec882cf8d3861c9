"""A schedule's instructions and places in DRAM: what the last stages of the compiler do, for trials in one go."""

from squeezelerator.compiler.codegen.emit import Emitter
from squeezelerator.compiler.codegen.image import Image
from squeezelerator.compiler.codegen.memory_map import ALIGN, MemoryMap, memory_map
from squeezelerator.compiler.codegen.synchronise import synchronise
from squeezelerator.compiler.codegen.transfers import Ordering
from squeezelerator.compiler.errors import StreamError
from squeezelerator.compiler.fusion.group import NetworkSchedule
from squeezelerator.compiler.ir.graph import Graph, Op
from squeezelerator.spec.machine import MachineConfig

__all__ = ["Placed", "emitted", "refetch"]

#: Fetched so much more often, weights come anew for every pass.
_MOST_REFETCHED = 2


def refetch(sched: NetworkSchedule, refetched: dict[Op, int], error: StreamError) -> None:
    """Let the weights that found no room be fetched more often, or if they come for every pass already, those of their group.

    Raises
    ------
    StreamError
        If all of them come for every pass.
    """
    if refetched.get(error.op) == _MOST_REFETCHED:
        others = [op for group in sched.groups if error.op in group.plans for op in group.plans if refetched.get(op) != _MOST_REFETCHED]
        if not others:
            raise error
        refetched.update(dict.fromkeys(others, _MOST_REFETCHED))
    refetched[error.op] = min(_MOST_REFETCHED, refetched.get(error.op, 0) + 1)


def emitted(sched: NetworkSchedule, cfg: MachineConfig, places: MemoryMap, align: int = ALIGN, *,
            contents: bool) -> tuple[Emitter, Ordering]:  # fmt: skip
    """A schedule's events, and what puts them in order: weights that find no room beside others are fetched more often until they do.

    Parameters
    ----------
    sched : compiler.fusion.group.NetworkSchedule
    cfg : spec.machine.MachineConfig
    places : MemoryMap
    align : int
        Weight streams begin at multiples of so many bytes.
    contents : bool
        Whether the image holds the streams; False: only room for them.

    Raises
    ------
    StreamError
        If weights do not fit even when they are fetched anew for every pass.
    """
    refetched: dict[Op, int] = {}
    while True:
        image = Image(cfg, align)
        emitter = Emitter(sched, cfg, image, places, refetched, trial=not contents)
        try:
            events = emitter.run()
            return emitter, Ordering(events, cfg, places.constants + image.size, sched.prefetch)
        except StreamError as error:
            refetch(sched, refetched, error)


class Placed:
    """A schedule's instructions (``code``, from ``steps``) and where everything lies in memory; without ``contents`` the constants are
    only room for them."""

    def __init__(self, cfg: MachineConfig, graph: Graph, sched: NetworkSchedule, contents: bool = True) -> None:
        places = memory_map(graph, sched, cfg)
        emitter, ordering = emitted(sched, cfg, places, contents=contents)
        self.steps = ordering.run()
        self.prog_offset = places.constants + emitter.image.size
        self.code = synchronise(self.steps, cfg)
