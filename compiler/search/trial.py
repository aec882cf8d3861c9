"""A trial: groups whose buffers have their rows, compiled without the weights' contents and timed instruction by instruction."""

import dataclasses
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from squeezelerator.compiler.codegen.assemble import emitted
from squeezelerator.compiler.codegen.emit import Emitter
from squeezelerator.compiler.codegen.memory_map import MemoryMap
from squeezelerator.compiler.codegen.synchronise import synchronise
from squeezelerator.compiler.codegen.transfers import Ordering, Step
from squeezelerator.compiler.cost.program_estimate import estimate_program
from squeezelerator.compiler.errors import StreamError
from squeezelerator.compiler.fusion.group import Group, NetworkSchedule
from squeezelerator.compiler.ir.buffer import Buffer
from squeezelerator.compiler.ir.graph import Op, Tensor
from squeezelerator.compiler.ir.prefetch_policy import PrefetchPolicy
from squeezelerator.spec.isa import BY_NAME
from squeezelerator.spec.machine import MachineConfig


@dataclasses.dataclass(slots=True)
class _Instruction:
    """What :func:`~compiler.cost.program_estimate.estimate_program` needs of an instruction."""

    op: str
    fields: dict[str, int]
    tickets: dict[int, int]
    unit: int | None

    @classmethod
    def of(cls, op: str, fields: dict[str, int], tickets: dict[int, int]) -> "_Instruction":
        return cls(op, fields, tickets, BY_NAME[op].unit)


class TrialResult(NamedTuple):
    """Cycles of a trial, its number of instructions, and beats on the bus."""

    cycles: int
    instructions: int
    beats: int


#: What is known of trials, by all that their times depend on.
TrialResults = dict[Hashable, "TrialResult | None"]


def _key(groups: Sequence[Group], prefetch: PrefetchPolicy) -> Hashable:
    """All that the time of a trial depends on: equal for groups that differ in names only, which candidates and alternatives have in the
    same rows."""
    numbers: dict[object, int] = {}

    def number(thing: object) -> int:
        return numbers.setdefault(thing, len(numbers))

    def map_key(tensor: Tensor, b: Buffer) -> Hashable:
        return (number(tensor), tensor.c, tensor.h, tensor.w, number(tensor.home), tensor.home_block, tensor.home_column, tensor.dram_w,
                b.base, b.rotation, b.lines, b.pitch, b.blocks)  # fmt: skip

    def op_key(group: Group, op: Op) -> Hashable:
        table = None if op.table is None else op.table.tobytes()
        return (number(op), op.kind, op.kernel, op.stride, op.pad, group.plans.get(op), op in group.resident_weights, table,
                tuple(map(number, op.parts)), None if op.residual is None else number(op.residual), number(op.out))  # fmt: skip

    def group_key(group: Group) -> Hashable:
        return (tuple(map_key(tensor, buffer) for tensor, buffer in group.buffers.items()), tuple(op_key(group, op) for op in group.ops),
                tuple((step.kind, number(step.what), step.y0, step.y1) for step in group.steps), group.slots,
                tuple(map(number, group.streamed)), frozenset(map(number, group.stored)))  # fmt: skip

    return prefetch, *map(group_key, groups)


class Trial:
    """Groups one after the other, to be timed each time that their buffers have got other rows.

    ``known``: results of all trials for the machine ``cfg`` so far; candidates often try the same group in the same rows.
    """

    def __init__(self, groups: Sequence[Group], cfg: MachineConfig, prefetch: PrefetchPolicy, known: TrialResults | None = None) -> None:
        self.groups, self.cfg, self.prefetch = groups, cfg, prefetch
        self.known: TrialResults = {} if known is None else known
        self._made: tuple[Emitter, Ordering] | None = None

    def time(self) -> TrialResult | None:
        """The estimate of the groups' program, or None if their weights do not fit."""
        key = _key(self.groups, self.prefetch)
        if key not in self.known:
            self.known[key] = self._estimate()
        return self.known[key]

    def _estimate(self) -> TrialResult | None:
        try:
            steps = self._steps()
        except StreamError:
            return None
        program = synchronise(steps, self.cfg, _Instruction.of)
        found = estimate_program(program, self.cfg, lambda i: steps[i].records, self.prefetch.memory)
        return TrialResult(found.cycles, len(program), self._beats(program))

    def _beats(self, program: Sequence[_Instruction]) -> int:
        return sum(i.fields["lines"] * i.fields["rows"] for i in program if i.op in ("LOAD", "STORE")) * self.cfg.row_beats

    def _steps(self) -> list[Step]:
        if self._made:
            emitter, ordering = self._made
            emitter.move()
        else:
            emitter, ordering = self._made = self._emit()
        return ordering.run()

    def _emit(self) -> tuple[Emitter, Ordering]:
        cfg = self.cfg
        tensors = {t for group in self.groups for t in group.buffers}
        homes: dict[str, int] = {}
        at = 0
        for home in sorted({t.home for t in tensors}):
            homes[home] = at
            at += max((t.home_block + t.blocks(cfg.n)) * t.h * t.dram_w for t in tensors if t.home == home) * cfg.row_bytes
        schedule, places = NetworkSchedule(list(self.groups), [], self.prefetch), MemoryMap(homes, at, {})
        return emitted(schedule, cfg, places, cfg.bus_bytes, contents=False)
