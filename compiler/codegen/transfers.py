"""Pass 7, ordering: where in the program every transfer stands, and where weights and biases lie in their buffers.

Events keep their order. A transfer may stand anywhere between its *release* (the last event that uses what it overwrites or
that writes what it reads) and the first event that needs it; it is placed as early as a bounded number of waiting transfers
allows, so that it runs while earlier work computes.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from squeezelerator.compiler.codegen.events import ACT, BIAS, DRAM, WEIGHT, Event, Load
from squeezelerator.compiler.codegen.prefetch import PrefetchClock
from squeezelerator.compiler.errors import StreamError
from squeezelerator.compiler.ir.prefetch_policy import GREEDY, PrefetchPolicy
from squeezelerator.compiler.mapping.weight_plan import Records
from squeezelerator.compiler.memory.ring_buffer import Interval
from squeezelerator.compiler.tuning import CODEGEN
from squeezelerator.spec.isa import MEM_ACT, MEM_BIAS, MEM_WEIGHT
from squeezelerator.spec.machine import MachineConfig


@dataclasses.dataclass(eq=False, slots=True)
class Step:
    """An instruction in program order with what it reads and writes: lists of (kind, low, high) intervals, many of which it shares with
    other instructions."""

    op: str
    layer: str
    fields: dict[str, int]
    sources: tuple[list[Interval], ...]
    writes: list[Interval]
    #: OS: the stream's records.
    records: Records | None = None

    @property
    def reads(self) -> list[Interval]:
        """All intervals that it reads."""
        return [*itertools.chain(*self.sources)]


class _Constants:
    """Rows of the weight or the bias buffer: every stream goes where the longest unused rows are."""

    def __init__(self, rows: int, kind: str) -> None:
        self.rows, self.kind = rows, kind
        #: Where stretches of rows begin, and the last event that uses each.
        self.starts, self.until = [0], [-1]

    def place(self, load: Load) -> None:
        """Set ``row``, ``writes`` and ``release`` of a transfer."""
        size, edges = load.rows, self.starts[1:]
        load.release, load.row = load.first_event, -1
        for start in sorted({0, self.rows - size, *edges, *(edge - size for edge in edges)}):
            if 0 <= start <= self.rows - size:
                until = self._busy(start, start + size, load.release)
                if until < load.release:
                    load.release, load.row = until, start
        if load.row < 0:
            message = f"layer {load.layer}: {size} rows do not fit the {self.kind} buffer beside what else it holds"
            raise StreamError(message, load.op)
        load.writes = [(self.kind, load.row, load.row + size)]
        self._use(load.row, load.row + size, load.last_event)

    def _busy(self, low: int, high: int, limit: int) -> int:
        """The last event that uses one of these rows; ``limit`` if that is not before it."""
        last, at = -1, bisect.bisect_right(self.starts, low) - 1
        while at < len(self.starts) and self.starts[at] < high:
            if self.until[at] >= limit:
                return limit
            last = max(last, self.until[at])
            at += 1
        return last

    def _use(self, low: int, high: int, event: int) -> None:
        first, behind = bisect.bisect_left(self.starts, low), bisect.bisect_right(self.starts, high)
        stretches = []
        if not first or self.until[first - 1] != event:  # otherwise the stretch before goes on
            stretches.append((low, event))
        if high < self.rows and self.until[behind - 1] != event:
            stretches.append((high, self.until[behind - 1]))
        self.starts[first:behind] = [start for start, _ in stretches]
        self.until[first:behind] = [until for _, until in stretches]


def _release_activations(events: Sequence[Event], cfg: MachineConfig, mem_bytes: int) -> None:
    """Set ``release`` of the transfers into the activation buffer."""
    touched = np.full(cfg.act_rows, -1)
    stored = np.full(mem_bytes // cfg.bus_bytes + 1, -1)
    for number, event in enumerate(events):
        for load in event.loads:
            if load.mem != MEM_ACT:
                continue
            load.release = -1
            for _, low, high in load.writes:
                load.release = max(load.release, int(touched[low:high].max()))
                touched[low:high] = number
            for _, low, high in load.reads:
                load.release = max(load.release, int(stored[low // cfg.bus_bytes : high // cfg.bus_bytes].max()))
        for kind, low, high in itertools.chain(*event.reads, event.writes):
            if kind == ACT:
                touched[low:high] = number
        for kind, low, high in event.writes:
            if kind == DRAM:
                stored[low // cfg.bus_bytes : high // cfg.bus_bytes] = number


def _load_step(load: Load) -> Step:
    fields = dict(load.fields)
    if load.mem != MEM_ACT:
        fields["row"] = load.row
    return Step("LOAD", load.layer, fields, (load.reads,), load.writes)


def _event_step(event: Event) -> Step:
    fields = dict(event.fields)
    for name, (load, offset) in event.rows.items():
        fields[name] = load.row + offset
    constants = [load.writes for load in event.loads if load.mem != MEM_ACT]
    return Step(event.op, event.layer, fields, (*event.reads, *constants), event.writes, event.records)


class Ordering:
    """What :func:`order` does, for events whose maps may move in the activation buffer between one order and the next: weights and biases
    keep their rows, and the steps are the same objects. Parameters and errors as there."""

    def __init__(self, events: Sequence[Event], cfg: MachineConfig, mem_bytes: int, prefetch: PrefetchPolicy = GREEDY) -> None:
        self.events, self.cfg, self.mem_bytes, self.prefetch = events, cfg, mem_bytes, prefetch
        self.loads = list(dict.fromkeys(load for event in events for load in event.loads))
        for mem, rows, kind in ((MEM_WEIGHT, cfg.weight_rows, WEIGHT), (MEM_BIAS, cfg.bias_rows, BIAS)):
            buffer = _Constants(rows, kind)
            for load in self.loads:
                if load.mem == mem:
                    buffer.place(load)
        self._clock = PrefetchClock(cfg, events, prefetch.memory)
        self._of_events = [_event_step(event) for event in events]
        self._of_loads = {load: _load_step(load) for load in self.loads}

    def run(self) -> list[Step]:
        """The program's instructions in order, by where the maps lie now."""
        _release_activations(self.events, self.cfg, self.mem_bytes)
        self._clock.reset()
        placement = _Placement(self.loads, self._of_loads, self._clock, self.prefetch)
        for number, (event, step) in enumerate(zip(self.events, self._of_events, strict=True)):
            placement.add(number, event, step)
        return placement.steps


def order(events: Sequence[Event], cfg: MachineConfig, mem_bytes: int, prefetch: PrefetchPolicy = GREEDY) -> list[Step]:
    """The program's instructions in order.

    Parameters
    ----------
    events : sequence of compiler.codegen.events.Event
    cfg : spec.machine.MachineConfig
    mem_bytes : int
        Bytes of DRAM that transfers read and write.
    prefetch : compiler.ir.prefetch_policy.PrefetchPolicy

    Raises
    ------
    StreamError
        If streams that are needed at the same time do not fit the weight or the bias buffer together.
    """
    return Ordering(events, cfg, mem_bytes, prefetch).run()


class _Placement:
    """Where transfers stand: ``steps`` are the instructions so far, ``loads`` all transfers in the order in which they are needed.

    ``window``: those that come next, without those that stand already; ``loads[at:]`` follow them. ``early``: (transfer, event before
    which it stands) of those that are not needed yet.
    """

    def __init__(self, loads: list[Load], of_loads: Mapping[Load, Step], clock: PrefetchClock, prefetch: PrefetchPolicy) -> None:
        self.loads, self.of_loads, self.clock, self.prefetch = loads, of_loads, clock, prefetch
        self.steps: list[Step] = []
        self.window: list[Load] = []
        self.early: list[tuple[Load, int]] = []
        self.at = 0

    def add(self, number: int, event: Event, step: Step) -> None:
        """Event ``number``, whose instruction is ``step``, behind the transfers that stand before it."""
        if self.at < len(self.loads) and len(self.window) < CODEGEN.transfer_window:
            missing = CODEGEN.transfer_window - len(self.window)
            self.window, self.at = self.window + self.loads[self.at : self.at + missing], self.at + missing
        if self.window and self.window[0].first_event <= number:
            self._place_due(number)
        if self.early:
            oldest = number - CODEGEN.recent_events
            self.early = [pair for pair in self.early if pair[0].first_event > number and pair[1] > oldest]
        if len(self.early) < CODEGEN.early_transfers:
            self._place_early(number)
        self.steps.append(step)
        self.clock.event(event, number)

    def _place(self, load: Load) -> None:
        self.clock.transfer(load)
        self.steps.append(self.of_loads[load])

    def _place_due(self, number: int) -> None:
        """Transfers that the event needs: they come in the order in which they are needed."""
        due = next((i for i, load in enumerate(self.window) if load.first_event > number), len(self.window))
        for load in self.window[:due]:
            self._place(load)
        self.window = self.window[due:]
        while not self.window and self.at < len(self.loads) and self.loads[self.at].first_event <= number:
            self._place(self.loads[self.at])
            self.at += 1
        self.clock.wait()

    def _place_early(self, number: int) -> None:
        """Transfers for later events that are released, as many as may wait and as far ahead as the policy goes."""
        window, kept, at = self.window, [], 0
        last = self.clock.last(number, self.prefetch)
        for load in window:
            if load.first_event > last:
                break
            at += 1
            if load.release >= number:
                kept.append(load)
                continue
            self._place(load)
            self.early.append((load, number))
            if len(self.early) == CODEGEN.early_transfers:
                break
            last = self.clock.last(number, self.prefetch)
        if len(kept) < at:
            self.window = kept + window[at:]
