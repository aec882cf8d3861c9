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
        used = [f"row {row} multiplies by {value}" for row, value in enumerate(self.streams) if value is not None]
        same = len(set(self.streams)) == 1 and len(used) > 1
        found += [f"all rows multiply by {self.streams[0]}"] if same else used
        entries = {pe.written[0] for row in self.pes for pe in row if pe.written}
        found += [f"partial sums are written to entry {entry}" for entry in sorted(entries)]
        if self.retires:
            found.append("the instruction retires")
        return found or ["headers and pixels are on their way" if self.cycle else "the instruction is accepted"]


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


def frames(trace: Trace) -> list[Frame]:
    """A frame for each cycle of the trace."""
    n = range(CFG.n)
    places = [(row, column) for row in n for column in n]
    entries: dict[tuple[int, int], list[int | None]] = {place: [None] * CFG.rf for place in places}
    found = []
    for cycle, values in enumerate(trace.cycles):
        pes = {place: _pe(values, *place, entries[place]) for place in places}
        streams = (_signed(values[f"pes.pe_{row}_0.stream"], 16) for row in n)
        found.append(Frame(
            cycle=cycle, operand=tuple(_signed(values[f"pes.pe_0_{column}.operand"], 16) for column in n),
            loads=tuple(row for row in n if values[f"pes.pe_{row}_0.load_row"]),
            swaps=tuple(row for row in n if values[f"pes.pe_{row}_0.swap"]), shift=bool(values["pes.pe_0_0.shift"]),
            streams=tuple(value if _streaming(trace, cycle, row) else None for row, value in enumerate(streams)),
            pes=tuple(tuple(pes[row, column] for column in n) for row in n), retires=cycle == trace.retired))  # fmt: skip
        for place, pe in pes.items():
            if pe.written:
                entries[place][pe.written[0]] = pe.written[1]
    return found
