"""Which partial sums in the register files a program has begun.

A bank is begun by the first instruction with ``first``. From then on, and behind a reset of the machine, an entry that no weight of OS
has reached counts as empty and reads as zero, whatever its memory holds. Elsewhere a place (array row, column) of an entry holds a sum of
the program only if all instructions that wrote the entry computed that place:

- OS adds in all array rows and columns at once. Those that it does not use add a product of whatever their registers hold.
- WS writes the places of its own pixels only, and afterwards no entry of the bank is empty. Without ``first`` it goes on from an entry's
  memory, also of one that was empty.

The functional model has zeros in all places that an instruction leaves out, so that a program that drains one has no defined outcome.
"""

from functools import lru_cache

from squeezelerator.spec.isa import MODE_OS, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.verification.footprint import FootprintError

__all__ = ["Sums"]


@lru_cache(maxsize=4096)
def _places(n: int, columns: tuple[int, ...]) -> int:
    """A bit for each of the first ``columns[i]`` columns of array row i; a row has ``n`` bits."""
    found = 0
    for row, count in enumerate(columns):
        found |= ((1 << count) - 1) << row * n
    return found


class Sums:
    """The register files as far as a program's instructions, in an order that its tickets allow, have begun them.

    Parameters
    ----------
    cfg : MachineConfig
    fresh : bool
        Whether the machine comes out of its reset, with empty banks; otherwise they hold what another program has left.
    """

    def __init__(self, cfg: MachineConfig, *, fresh: bool) -> None:
        self.cfg = cfg
        #: By bank: a bit for each entry that reads as zero.
        self._empty = [self._entries(cfg.rf) if fresh else 0] * 2
        #: By bank and entry: the places that hold a sum of the program; of no meaning in one that is empty.
        self._begun = [[0] * cfg.rf for _ in range(2)]

    @staticmethod
    def _entries(count: int) -> int:
        return (1 << count) - 1

    def add(self, i: Instruction, channels: int) -> None:
        """The next instruction; ``channels``: of OS, the entries that its weights reach, as bits. Others than the array's and DRAIN change
        nothing.

        Raises
        ------
        FootprintError
            A DRAIN of a place that holds no sum of the program.
        """
        if i.op == "OS":
            self._add_os(i.fields, channels)
        elif i.op == "WS":
            self._add_ws(i.fields)
        elif i.op == "DRAIN":
            self._check_drain(i.fields)

    def _add_os(self, f: dict[str, int], channels: int) -> None:
        bank, begun = f["bank"], self._begun[f["bank"]]
        if f["first"]:
            self._empty[bank] = self._entries(self.cfg.rf)
        used = _places(self.cfg.n, (f["seg_len"],) * f["nrows"])
        for entry in range(self.cfg.rf):
            if channels >> entry & 1:
                begun[entry] = used if self._empty[bank] >> entry & 1 else begun[entry] & used
        self._empty[bank] &= ~channels

    def _pixels(self, count: int) -> list[int]:
        """Places of ``count`` pixels of WS, by entry."""
        n = self.cfg.n
        whole, rest = divmod(count, n)
        return [_places(n, (n,) * n)] * whole + [_places(n, (n,) * rest)] * (rest > 0)

    def _add_ws(self, f: dict[str, int]) -> None:
        bank, begun = f["bank"], self._begun[f["bank"]]
        if f["first"]:
            pixels = self._pixels(f["out_w"] * f["out_h"])
            begun[:] = pixels + [0] * (len(begun) - len(pixels))
        else:
            for entry in range(self.cfg.rf):
                if self._empty[bank] >> entry & 1:
                    begun[entry] = 0
        self._empty[bank] = 0

    def _drained(self, f: dict[str, int]) -> list[int]:
        """Places that a DRAIN reads, by entry from ``entry0`` on."""
        if f["mode"] != MODE_OS:
            return self._pixels(f["out_w"] * f["out_h"])
        first = (((f["seg0"] + row) % f["segs"]) * f["seg_len"] for row in range(f["nrows"]))
        return [_places(self.cfg.n, tuple(max(0, min(f["seg_len"], f["out_w"] - column)) for column in first))] * f["channels"]

    def _check_drain(self, f: dict[str, int]) -> None:
        bank, n = f["bank"], self.cfg.n
        for entry, places in enumerate(self._drained(f), f["entry0"]):
            missing = 0 if self._empty[bank] >> entry & 1 else places & ~self._begun[bank][entry]
            if missing:
                row, column = divmod((missing & -missing).bit_length() - 1, n)
                raise FootprintError(f"drains entry {entry} of bank {bank} at array row {row}, column {column}, where no sum was begun")
