"""Why ARRAY is empty: the chain of instructions that ends with the acceptance of its next one, from the exact timeline.

Every instruction is accepted in the cycle that the latest of a few conditions gives: it was dispatched, its tickets are satisfied, its
unit has room. Walking from an acceptance back along the condition that came last says in every cycle before it which unit the array really
waited for: a LOAD that itself waited for a DRAIN counts as DRAIN until that retired.
"""

from collections.abc import Iterator, Sequence

from squeezelerator.sim.explain.causes import Cause
from squeezelerator.spec.constants.units import LATEST_FAULT
from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD, POOL, STORE, UNITS, WRITTEN, Instruction
from squeezelerator.timing.kernel import Timeline

__all__ = ["CriticalPath"]

#: (first cycle, first cycle no more, cause).
Interval = tuple[int, int, Cause]

#: What it means to wait for a unit. ARRAY itself is not waited for while it is empty, except for a cycle between two of its instructions.
_CAUSE_OF = {LOAD: Cause.DRAM, ARRAY: Cause.CONTROL, DRAIN: Cause.DRAIN, POOL: Cause.POOL, STORE: Cause.DRAM}


class CriticalPath:
    """The chains of one run.

    Parameters
    ----------
    instructions : sequence of Instruction
    timeline : Timeline
    queue_depth : int
        Instructions that wait in front of a unit, at most.
    """

    def __init__(self, instructions: Sequence[Instruction], timeline: Timeline, queue_depth: int) -> None:
        self._timeline = timeline
        self._depth = queue_depth
        #: Numbers in the program of each unit's instructions.
        self._numbers: list[list[int]] = [[] for _ in UNITS]
        self._unit_of = [instr.unit for instr in instructions]
        self._place: list[int] = []  # of each instruction among those of its unit
        for number, unit in enumerate(self._unit_of):
            self._place.append(len(self._numbers[unit]) if unit is not None else 0)
            if unit is not None:
                self._numbers[unit].append(number)
        # What tickets count, see the kernel.
        self._counted = [*timeline.retires[:STORE], timeline.reads, timeline.retires[STORE]]

    def before_array(self, place: int, floor: int) -> list[Interval]:
        """Intervals from cycle ``floor`` to the acceptance of ARRAY's instruction number ``place``, in the order of time."""
        return self._intervals(self._numbers[ARRAY][place], self._timeline.starts[ARRAY][place], floor)

    def before_end(self, floor: int) -> list[Interval]:
        """Intervals from cycle ``floor`` to the end of the program, in the order of time."""
        end = self._timeline.cycles
        ready = max(floor, end - 1 - LATEST_FAULT)
        last = [(ready, end, Cause.CONTROL)] if end > ready else []
        return self._intervals(len(self._unit_of) - 1, ready, floor) + last

    def _intervals(self, number: int, at: int, floor: int) -> list[Interval]:
        found: list[Interval] = []
        for begin, cause in self._steps(number, at, floor):
            begin = max(begin, floor)
            if begin < at:
                if found and found[-1][2] is cause:
                    found[-1] = (begin, found[-1][1], cause)
                else:
                    found.append((begin, at, cause))
                at = begin
            if at <= floor:
                break
        return found[::-1]

    def _steps(self, number: int, at: int, floor: int) -> Iterator[tuple[int, Cause]]:
        """(cycle, cause): from the cycle of the step before, at first ``at``, back to ``cycle`` it was ``cause``."""
        while at > floor:
            unit, place = self._ticket(number, at)
            if unit is None and self._timeline.dispatched[number] + 1 >= at:
                found = yield from self._dispatch_steps(number, floor)
                if found is None:
                    return
                unit, place = found
                at = self._timeline.starts[unit][place]
                number = self._numbers[unit][place]
                continue
            if unit is None:
                # Neither a ticket nor the dispatch: its own unit was busy with the instruction before.
                unit, place = self._unit_of[number], self._place[number] - 1
                if unit is None or place < 0:
                    yield floor, Cause.CONTROL
                    return
            at = self._timeline.starts[unit][place]
            number = self._numbers[unit][place]
            yield at, _CAUSE_OF[unit]

    def _ticket(self, number: int, at: int) -> tuple[int | None, int]:
        """(unit, place) of the instruction whose retirement satisfied the tickets of ``number`` in cycle ``at``; (None, 0) if none did."""
        for unit, count in self._timeline.tickets[number]:
            if count > 0 and self._counted[unit][count - 1] + 1 >= at:
                return (STORE if unit == WRITTEN else unit), count - 1
        return None, 0

    def _dispatch_steps(self, number: int, floor: int) -> Iterator[tuple[int, Cause]]:
        """Steps back from the dispatch of ``number``; returns (unit, place) of an instruction whose acceptance made room in a queue."""
        dispatched, starts = self._timeline.dispatched, self._timeline.starts
        while True:
            at, unit = dispatched[number], self._unit_of[number]
            waiting = self._place[number] - self._depth
            if unit is not None and waiting >= 0 and starts[unit][waiting] + 1 >= at:
                yield starts[unit][waiting], Cause.CONTROL
                return unit, waiting
            if number == 0 or dispatched[number - 1] + 1 < at or at <= floor:
                # The instruction itself was late; what FETCH waits for is DRAM.
                yield floor, Cause.FETCH
                return None
            number -= 1
            yield dispatched[number], Cause.FETCH
