"""Pass 7, ordering: where in the program every transfer stands, and where weights and biases lie in their buffers.

Events keep their order. A transfer may stand anywhere between its *release* (the last event that uses what it overwrites or
that writes what it reads) and the first event that needs it; it is placed as early as a bounded number of waiting transfers
allows, so that it runs while earlier work computes.
"""

import bisect
import dataclasses
import itertools

import numpy as np

from squeezelerator.compiler.codegen.emit import ACT, BIAS, DRAM, WEIGHT
from squeezelerator.compiler.codegen.prefetch import PrefetchClock
from squeezelerator.compiler.errors import StreamError
from squeezelerator.compiler.ir.prefetch_policy import GREEDY
from squeezelerator.compiler.tuning import CODEGEN
from squeezelerator.spec.isa import MEM_ACT, MEM_BIAS, MEM_WEIGHT


@dataclasses.dataclass(eq=False, slots=True)
class Step:
    """An instruction in program order with what it reads and writes: (kind, low, high) intervals."""

    op: str
    layer: str
    fields: dict
    reads: list
    writes: list
    #: OS: the stream's compiler.mapping.weight_plan.Records.
    records: object = None


class _Constants:
    """Rows of the weight or the bias buffer: every stream goes where the longest unused rows are."""

    def __init__(self, rows, what):
        self.rows, self.what = rows, what
        #: Where stretches of rows begin, and the last event that uses each.
        self.starts, self.until = [0], [-1]

    def place(self, load):
        """Set ``row`` and ``release`` of a transfer."""
        size, edges = load.rows, self.starts[1:]
        load.release, load.row = load.first_event, -1
        for start in sorted({0, self.rows - size, *edges, *(edge - size for edge in edges)}):
            if 0 <= start <= self.rows - size:
                until = self._busy(start, start + size, load.release)
                if until < load.release:
                    load.release, load.row = until, start
        if load.row < 0:
            message = f"layer {load.layer}: {size} rows do not fit the {self.what} buffer beside what else it holds"
            raise StreamError(message, load.op)
        self._use(load.row, load.row + size, load.last_event)

    def _busy(self, low, high, limit):
        """The last event that uses one of these rows; ``limit`` if that is not before it."""
        last, at = -1, bisect.bisect_right(self.starts, low) - 1
        while at < len(self.starts) and self.starts[at] < high:
            if self.until[at] >= limit:
                return limit
            last = max(last, self.until[at])
            at += 1
        return last

    def _use(self, low, high, event):
        first, behind = bisect.bisect_left(self.starts, low), bisect.bisect_right(self.starts, high)
        channel_stretches = []
        if not first or self.until[first - 1] != event:  # otherwise the stretch before goes on
            channel_stretches.append((low, event))
        if high < self.rows and self.until[behind - 1] != event:
            channel_stretches.append((high, self.until[behind - 1]))
        self.starts[first:behind] = [start for start, _ in channel_stretches]
        self.until[first:behind] = [until for _, until in channel_stretches]


def _release_activations(events, cfg, mem_bytes):
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


def _load_step(load):
    fields = dict(load.fields)
    writes = load.writes
    if load.mem != MEM_ACT:
        fields["row"] = load.row
        writes = [(WEIGHT if load.mem == MEM_WEIGHT else BIAS, load.row, load.row + load.rows)]
    return Step("LOAD", load.layer, fields, load.reads, writes)


def _event_step(event):
    fields = dict(event.fields)
    for name, (load, offset) in event.rows.items():
        fields[name] = load.row + offset
    constants = [(WEIGHT if load.mem == MEM_WEIGHT else BIAS, load.row, load.row + load.rows)
                 for load in event.loads if load.mem != MEM_ACT]  # fmt: skip
    return Step(event.op, event.layer, fields, [*itertools.chain(*event.reads), *constants], event.writes, event.records)


def order(events, cfg, mem_bytes, prefetch=GREEDY):
    """The program's :class:`Step` list.

    Parameters
    ----------
    events : list of compiler.codegen.emit.Event
    cfg : spec.machine.MachineConfig
    mem_bytes : int
        Bytes of DRAM that transfers read and write.
    haste : compiler.ir.prefetch_policy.PrefetchPolicy

    Raises
    ------
    StreamError
        If streams that are needed at the same time do not fit the weight or the bias buffer together.
    """
    loads = list(dict.fromkeys(load for event in events for load in event.loads))
    for mem, rows, what in ((MEM_WEIGHT, cfg.weight_rows, "weight"), (MEM_BIAS, cfg.bias_rows, "bias")):
        buffer = _Constants(rows, what)
        for load in loads:
            if load.mem == mem:
                buffer.place(load)
    _release_activations(events, cfg, mem_bytes)
    steps, window, at, early = [], [], 0, []  # loads[at:] follow those in the window
    clock = PrefetchClock(cfg, events)

    def place(some):
        for load in some:
            clock.transfer(load)
            steps.append(_load_step(load))

    for number, event in enumerate(events):
        if at < len(loads) and len(window) < CODEGEN.transfer_window:
            missing = CODEGEN.transfer_window - len(window)
            window, at = window + loads[at : at + missing], at + missing
        # Transfers come in the order in which they are needed: first those that are due.
        if window and window[0].first_event <= number:
            due = next((i for i, load in enumerate(window) if load.first_event > number), len(window))
            place(window[:due])
            window = window[due:]
            while not window and at < len(loads) and loads[at].first_event <= number:
                place([loads[at]])
                at += 1
            clock.wait()
        early = [(load, when) for load, when in early if load.first_event > number and number - when < CODEGEN.recent_events]
        if len(early) < CODEGEN.early_transfers:
            chosen, last = [], clock.last(number, prefetch)
            for load in window:
                if load.first_event > last:
                    break
                if load.release < number:
                    place([load])
                    chosen.append(load)
                    if len(chosen) + len(early) == CODEGEN.early_transfers:
                        break
                    last = clock.last(number, prefetch)
            if chosen:
                early += [(load, number) for load in chosen]
                window = [load for load in window if load not in chosen]
        steps.append(_event_step(event))
        clock.event(event, number)
    return steps
