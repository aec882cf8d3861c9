"""Events: instructions in the order in which they compute, with the transfers that they need, before these have places in the program."""

import dataclasses

from squeezelerator.compiler.ir.buffer import Buffer
from squeezelerator.compiler.ir.graph import Op
from squeezelerator.compiler.mapping.weight_plan import Records
from squeezelerator.compiler.memory.ring_buffer import Interval, intervals

ACT, WEIGHT, BIAS, RF, DRAM = "act", "weight", "bias", "rf", "dram"
"""Kinds of resources that instructions read and write; intervals count rows, register-file banks and bytes."""


@dataclasses.dataclass(eq=False, slots=True)
class Load:
    """A transfer from DRAM: a LOAD instruction that events wait for.

    ``rows``: rows of the weight or the bias buffer. Weights and biases get their first row (``row``) in :mod:`compiler.codegen.transfers`.
    """

    mem: int
    layer: str
    op: Op
    fields: dict[str, int]
    writes: list[Interval]
    reads: list[Interval]
    rows: int = 0
    row: int = -1
    first_event: int = -1
    last_event: int = -1
    release: int = -1


#: {field: (Load, rows from its first row)} for rows that are not known yet.
LoadRows = dict[str, tuple[Load, int]]


@dataclasses.dataclass(eq=False, slots=True)
class Event:
    """An instruction of a unit other than LOAD: its fields, the transfers that it needs, the lists of intervals that it reads and the
    one that it writes."""

    op: str
    layer: str
    fields: dict[str, int]
    loads: list[Load]
    reads: tuple[list[Interval], ...]
    writes: list[Interval]
    rows: LoadRows = dataclasses.field(default_factory=dict)
    #: OS: the stream's records.
    records: Records | None = None


class EventList:
    """The events so far, and transfers of maps that wait for the next one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._waiting: list[Load] = []
        self._known_rows: dict[tuple[Buffer, tuple[int, int], int, int], list[Interval]] = {}

    def rows(self, buffer: Buffer, blocks: tuple[int, int], y0: int, y1: int) -> list[Interval]:
        """(ACT, low, high) of the rows of lines y0 .. y1-1; one list for all instructions that touch the same lines."""
        key = buffer, blocks, y0, y1
        if key not in self._known_rows:
            self._known_rows[key] = intervals(ACT, buffer, blocks, y0, y1)
        return self._known_rows[key]

    def move(self) -> None:
        """Let the events read and write where the buffers lie now; the fields of a trial do not matter."""
        for key, rows in self._known_rows.items():
            rows[:] = intervals(ACT, *key)

    def wait_for(self, load: Load) -> None:
        """The next event needs this transfer."""
        self._waiting.append(load)

    def add(self, name: str, op: Op, fields: dict[str, int], reads: tuple[list[Interval], ...], writes: list[Interval],
            rows: LoadRows | None = None, records: Records | None = None) -> None:  # fmt: skip
        """Append the event of an instruction, which needs the transfers of ``rows`` and those that wait for it."""
        rows, number = rows or {}, len(self.events)
        loads = [*self._waiting, *dict.fromkeys(load for load, _ in rows.values())]
        self._waiting = []
        for load in loads:
            load.first_event = number if load.first_event < 0 else load.first_event
            load.last_event = number
        self.events.append(Event(name, op.layers[0], fields, loads, reads, writes, rows, records))
