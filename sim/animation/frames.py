"""What the animation shows of each cycle, taken from a trace of the RTL."""

from dataclasses import dataclass

from squeezelerator.sim.animation.example import CFG
from squeezelerator.sim.animation.trace import Trace

__all__ = ["Frame", "Pe", "frames"]


@dataclass(frozen=True)
class Pe:
    """Registers of a PE at the beginning of a cycle.

    ``following`` : its register ``next``. ``product``, ``total`` : of the cycle before. ``entries`` : partial sums of bank 0, None where
    none was written yet. ``written`` : (entry, value) that is written at the end of the cycle.
    """

    following: int
    stationary: int
    product: int
    total: int
    entries: tuple[int | None, ...]
    written: tuple[int, int] | None


@dataclass(frozen=True)
class Frame:
    """A cycle.

    Parameters
    ----------
    cycle : int
        From the instruction's acceptance on.
    operand : tuple of int
        What ``next`` registers can take, a word for each column.
    loads, swaps : tuple of int
        Array rows in which ``next`` takes the operand, and in which the stationary register takes ``next``.
    shift : bool
        Whether the other rows' ``next`` registers take those of the row below.
    streams : tuple of (int or None)
        What each array row multiplies by; None where it is nothing of the instruction's.
    pes : tuple of tuple of Pe
        By array row and column.
    retires : bool
    """

    cycle: int
    operand: tuple[int, ...]
    loads: tuple[int, ...]
    swaps: tuple[int, ...]
    shift: bool
    streams: tuple[int | None, ...]
    pes: tuple[tuple[Pe, ...], ...]
    retires: bool

    @property
    def text(self) -> list[str]:
        """What happens, in words."""
        found = []
        if self.shift:
            found.append("the next registers move up by a row")
        found += [f"row {row}: next takes {', '.join(map(str, self.operand))}" for row in self.loads]
        if self.swaps:
            found.append(f"row{'s' * (len(self.swaps) > 1)} {' and '.join(map(str, self.swaps))}: stationary takes next")
        found += [*self._multiplications(), *self._writes()]
        if self.retires:
            found.append("the instruction retires")
        return found or ["headers and pixels are on their way" if self.cycle else "the instruction is accepted"]

    def _multiplications(self) -> list[str]:
        used = [f"row {row} multiplies by {value}" for row, value in enumerate(self.streams) if value is not None]
        same = len(set(self.streams)) == 1 and len(used) > 1
        return [f"all rows multiply by {self.streams[0]}"] if same else used

    def _writes(self) -> list[str]:
        entries = {pe.written[0] for row in self.pes for pe in row if pe.written}
        return [f"partial sums are written to entry {entry}" for entry in sorted(entries)]


def _signed(value: int, bits: int) -> int:
    return value - (value >> bits - 1 << bits)


def _pe(values: dict[str, int], row: int, column: int, entries: list[int | None]) -> Pe:
    def read(name: str, bits: int) -> int:
        return _signed(values[f"pes.pe_{row}_{column}.{name}"], bits)

    written = None
    if values[f"pes.pe_{row}_{column}.write0"]:
        written = values[f"pes.pe_{row}_{column}.write_addr"], read("kept", CFG.acc_bits)
    return Pe(read("next", 16), read("stationary", 16), read("product", 32), read("sum", CFG.acc_bits), tuple(entries), written)


def _streaming(trace: Trace, cycle: int, row: int) -> bool:
    """Whether array row ``row`` has a weight (OS) or a pixel (WS) of the instruction: a register, in WS the buffer and the skew later."""
    late = 1 if trace.case.dataflow == "OS" else 1 + CFG.read_latency + row
    return cycle >= late and bool(trace.cycles[cycle - late]["computing"])


def _frame(trace: Trace, cycle: int, entries: dict[tuple[int, int], list[int | None]]) -> Frame:
    """The frame of a cycle; ``entries``: what the register files hold."""
    n, values = range(CFG.n), trace.cycles[cycle]
    streams = (_signed(values[f"pes.pe_{row}_0.stream"], 16) for row in n)
    return Frame(
        cycle=cycle, operand=tuple(_signed(values[f"pes.pe_0_{column}.operand"], 16) for column in n),
        loads=tuple(row for row in n if values[f"pes.pe_{row}_0.load_row"]),
        swaps=tuple(row for row in n if values[f"pes.pe_{row}_0.swap"]), shift=bool(values["pes.pe_0_0.shift"]),
        streams=tuple(value if _streaming(trace, cycle, row) else None for row, value in enumerate(streams)),
        pes=tuple(tuple(_pe(values, row, column, entries[row, column]) for column in n) for row in n), retires=cycle == trace.retired,
    )  # fmt: skip


def frames(trace: Trace) -> list[Frame]:
    """A frame for each cycle of the trace."""
    entries: dict[tuple[int, int], list[int | None]] = {
        (row, column): [None] * CFG.rf for row in range(CFG.n) for column in range(CFG.n)}
    found = []
    for cycle in range(len(trace.cycles)):
        found.append(_frame(trace, cycle, entries))
        for (row, column), held in entries.items():
            written = found[-1].pes[row][column].written
            if written:
                held[written[0]] = written[1]
    return found
