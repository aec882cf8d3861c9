"""Runs the array's RTL on Amaranth's simulator and reads what its registers hold in every cycle from the waveform file that it writes."""

import io
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.sim import Simulator
from vcd.reader import TokenKind, tokenize

from squeezelerator.rtl.array.array_unit import ArrayUnit
from squeezelerator.sim.animation.example import CFG, Case

__all__ = ["Trace", "trace"]

#: Cycles shown after the retirement.
_AFTER = 1
#: Seconds of a clock cycle in the simulator's reckoning.
_PERIOD = 1e-6


@dataclass(frozen=True)
class Trace:
    """``cycles`` : for each cycle from the instruction's acceptance on {name: number}, names as "pes.pe_0_1.next", bits unsigned.
    ``retired`` : number of the cycle in which the instruction retired. ``case`` : what ran."""

    case: Case
    cycles: list[dict[str, int]]
    retired: int


def _words(words: np.ndarray) -> int:
    """16-bit words, the first in the lowest bits."""
    return sum((int(word) & 0xFFFF) << 16 * place for place, word in enumerate(words))


def _simulate(case: Case, path: Path) -> tuple[int, int]:
    """Run the case, write the waveforms to ``path``; returns the numbers of the cycles in which it was accepted and retired."""
    dut = ArrayUnit(cfg=CFG, instance=False)
    found: dict[str, int] = {}

    async def memories(ctx: Any) -> None:
        """Both buffers: the activation buffer answers after ``read_latency`` cycles, the weight buffer in the next one."""
        answers = [0] * (CFG.read_latency + 1)
        weights = 0
        while True:
            await ctx.tick()
            answer = 0
            if ctx.get(dut.rd.en):
                row, column, lane, mask = (ctx.get(getattr(dut.rd, name)) for name in ("row", "col", "lane", "mask"))
                for place in range(CFG.n):
                    if mask >> place & 1:
                        word = case.activations[row + place, lane] if column else case.activations[row, place]
                        answer |= (int(word) & 0xFFFF) << 16 * place
            answers = [answer, *answers[:-1]]
            ctx.set(dut.rd.data, answers[-1])
            ctx.set(dut.wt.data, weights)
            if ctx.get(dut.wt.en):
                weights = _words(case.weights[ctx.get(dut.wt.row)])

    async def feed(ctx: Any) -> None:
        """Offers the instruction once and waits for its retirement."""
        ctx.set(dut.instr.payload, int.from_bytes(case.instruction.encode(CFG), "little"))
        ctx.set(dut.instr.valid, 1)
        cycle = 0
        while "retired" not in found or cycle <= found["retired"] + _AFTER:
            if "accepted" not in found and ctx.get(dut.instr.ready):
                found["accepted"] = cycle
            if ctx.get(dut.retire):
                found["retired"] = cycle
            await ctx.tick()
            if "accepted" in found:
                ctx.set(dut.instr.valid, 0)
            cycle += 1

    simulator = Simulator(dut)
    simulator.add_clock(_PERIOD)
    simulator.add_testbench(memories, background=True)
    simulator.add_testbench(feed)
    with path.open("w") as file, simulator.write_vcd(file):
        simulator.run()
    return found["accepted"], found["retired"]


def _cycles(path: Path) -> Iterator[dict[str, int]]:
    """The settled values of every signal in each cycle: those before the clock's rising edge."""
    names: dict[str, list[str]] = {}
    scopes: list[str] = []
    values: dict[str, int] = {}
    changes: dict[str, int] = {}
    clock = ""

    def settle() -> Iterator[dict[str, int]]:
        """Changes at one time are over: if the clock rose, the cycle before ends with what was there before."""
        if changes.get(clock) == 1 and values.get(clock) == 0:
            yield {name: value for code, value in values.items() for name in names[code]}
        values.update(changes)
        changes.clear()

    # The reader takes no names that begin with a dollar sign; nothing here needs them.
    text = re.sub(rb"(?m)^(\$var \S+ \d+ \S+ )\$", rb"\1_", path.read_bytes())
    with io.BytesIO(text) as file:
        for token in tokenize(file):
            if token.kind is TokenKind.SCOPE:
                scopes.append(token.scope.ident)
            elif token.kind is TokenKind.UPSCOPE:
                scopes.pop()
            elif token.kind is TokenKind.VAR:
                # The first two are the bench and the unit. Names that are there twice have a number behind a dollar sign.
                name = ".".join([*scopes[2:], token.var.reference])
                names.setdefault(token.var.id_code, []).append(name)
                clock = token.var.id_code if name == "clk" else clock
            elif token.kind is TokenKind.CHANGE_TIME:
                yield from settle()
            elif token.kind in (TokenKind.CHANGE_SCALAR, TokenKind.CHANGE_VECTOR):
                change = token.scalar_change if token.kind is TokenKind.CHANGE_SCALAR else token.vector_change
                changes[change.id_code] = int(change.value)
        yield from settle()


def trace(case: Case) -> Trace:
    """Run ``case`` on the array's RTL and keep every signal in every cycle."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "array.vcd"
        accepted, retired = _simulate(case, path)
        cycles = list(_cycles(path))
    return Trace(case, cycles[accepted : retired + _AFTER + 1], retired - accepted)
