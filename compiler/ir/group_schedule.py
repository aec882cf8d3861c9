"""The schedule of one group: steps in order, and what every part of the compiler may ask about it.

A group's operations advance together over their maps. How is decided in :mod:`compiler.fusion`, in one of two ways: line by line
(:class:`~compiler.fusion.line_schedule.LineSchedule`) or, for one convolution, by channels
(:class:`~compiler.fusion.channel_schedule.ChannelSchedule`). Cost models, local search and code generation see only :class:`GroupSchedule`.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from squeezelerator.compiler.ir.graph import Op, Tensor
from squeezelerator.spec.enums import Dataflow


class StepKind(enum.StrEnum):
    """What a step of a group does."""

    #: Lines of a map come from DRAM.
    LOAD = "load"
    #: Lines of a map go to DRAM.
    STORE = "store"
    #: An operation computes.
    COMPUTE = "compute"


class GroupStep(NamedTuple):
    """One step of a group's schedule.

    ``LOAD``, ``STORE``: lines ``y0`` .. ``y1 - 1`` of the tensor ``what``. ``COMPUTE``: units ``y0`` .. ``y1 - 1`` of the operation
    ``what``, see :class:`TileRate`.
    """

    kind: StepKind
    what: Any
    y0: int
    y1: int


class TileRate(NamedTuple):
    """How fast an operation advances.

    Attributes
    ----------
    units : int
        Units in an output line: segments of it for a convolution in OS, whose array tiles may end inside a line and so are always full;
        one for everything else.
    quantum : int
        Units of a step.
    dataflow : Dataflow or None
        Of a convolution.
    """

    units: int
    quantum: int
    dataflow: Dataflow | None = None


class StepTime(NamedTuple):
    """Time of a step: cycles of the array or the pool unit, cycles after that until its last result has left the drain, array tiles, and
    cycles at the end of the last tile that alone need the newest lines of the input (0: there are none, or all need them)."""

    work: int
    tail: int
    tiles: int
    newest: int = 0


class StepTimes(Protocol):
    """Times of an operation's steps."""

    def __call__(self, op: Op, dataflow: Dataflow | None, units: int, /) -> StepTime: ...


class Slots(NamedTuple):
    """The slots of a channel-wise convolution: how its input and its results pass through the activation buffer.

    Attributes
    ----------
    blocks : int
        Channel blocks of a slot.
    lines : int
        Lines in it.
    number : int
        Slots.
    results : int
        Channel blocks in which results wait to be stored; 0 if they stay.
    band : int
        Lines of an array tile.
    """

    blocks: int
    lines: int
    number: int
    results: int
    band: int


class GroupSchedule(Protocol):
    """What line schedules and channel schedules have in common.

    Attributes
    ----------
    ops : sequence of Op
    steps : list of GroupStep
    rates : mapping
        Operation -> :class:`TileRate`.
    step_counts : mapping
        Operation -> its number of steps.
    roots : mapping
        Tensor -> tensor in whose buffer it is written.
    array_work, pool_work : int
        Cycles of the array and of the pool unit.
    slots : Slots or None
        Of a channel schedule.
    """

    @property
    def ops(self) -> Sequence[Op]: ...
    @property
    def steps(self) -> list[GroupStep]: ...
    @property
    def rates(self) -> Mapping[Op, TileRate]: ...
    @property
    def step_counts(self) -> Mapping[Op, int]: ...
    @property
    def roots(self) -> Mapping[Tensor, Tensor]: ...
    @property
    def array_work(self) -> int: ...
    @property
    def pool_work(self) -> int: ...
    @property
    def slots(self) -> Slots | None: ...

    def ring_lines(self, slack: float) -> dict[Tensor, int]:
        """{root tensor: lines of its buffer}; ``slack``: by how many times a step's transfers those of streamed maps are longer."""
        ...

    def blocks(self, root: Tensor, n: int) -> int:
        """Channel blocks of a buffer on a machine with N = ``n``."""
        ...
