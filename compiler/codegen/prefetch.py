"""How early transfers from DRAM are asked for.

A transfer that is asked for as soon as there is room for it may be in the way of one that is needed sooner but has no room yet, of
stores, and of results that go to the same sector of the activation buffer. Where the bus is behind the array, it is better to wait.
"""

import bisect
import itertools
import math
from collections.abc import Sequence

from squeezelerator.compiler.codegen.events import Event, Load
from squeezelerator.compiler.cost.program_estimate import unit_cycles
from squeezelerator.compiler.ir.prefetch_policy import PrefetchPolicy
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import DramProfile


class PrefetchClock:
    """Roughly when the array and the bus are through with the events and transfers of a program so far; neither is taken to wait for
    anything but transfers that are due.

    Parameters
    ----------
    cfg : spec.machine.MachineConfig
    events : list of compiler.codegen.events.Event
        All of them, in order.
    memory : spec.platform.memory.DramProfile
    """

    def __init__(self, cfg: MachineConfig, events: Sequence[Event], memory: DramProfile) -> None:
        self._cfg, self._memory = cfg, memory
        self._array = self._bus = 0
        #: Cycles of the array before each event.
        self._before = [0, *itertools.accumulate(map(self._work, events))]

    def reset(self) -> None:
        """Back to the program's beginning."""
        self._array = self._bus = 0

    def _work(self, event: Event) -> int:
        return unit_cycles(event, self._cfg, event.records) if event.op in ("OS", "WS") else 0

    def _cycles(self, fields: dict[str, int]) -> int:
        return fields["lines"] * self._memory.line_cycles(self._cfg, fields["rows"])

    def last(self, number: int, prefetch: PrefetchPolicy) -> float:
        """The last event of which transfers are asked for before event ``number``."""
        behind = self._bus - self._array
        if behind < 0:
            return len(self._before)
        soon = number + prefetch.events - 1
        if prefetch.cycles == -math.inf:
            return soon
        return max(soon, bisect.bisect_left(self._before, self._before[number] + behind + prefetch.cycles) - 1)

    def transfer(self, load: Load) -> None:
        """A transfer is asked for."""
        self._bus = max(self._bus, self._array) + self._cycles(load.fields)

    def wait(self) -> None:
        """The array waits for all transfers."""
        self._array = max(self._array, self._bus)

    def event(self, event: Event, number: int) -> None:
        """Event ``number`` follows."""
        if event.op == "STORE":
            self._bus = max(self._bus, self._array) + self._cycles(event.fields)
        self._array += self._before[number + 1] - self._before[number]

    @property
    def now(self) -> int:
        """When both are through."""
        return max(self._array, self._bus)
