"""Ports between the units and the memories, as interface signatures.

All are described from the side that asks: ``Out(ReadPort(n))`` is a member of the unit that reads, ``In(ReadPort(n))`` of the
memory that answers. There is no back-pressure: an answer comes a fixed number of cycles after its request, one request a cycle.
"""

from amaranth.hdl import Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.primitives.parameters import check_range

__all__ = [
    "DRAIN_LATENCY", "NO_COLLISION_LOGIC", "ROW_READ_LATENCY",
    "AccessInterface", "DrainInterface", "DrainPort", "ReadPort", "RowInterface", "RowReadPort", "RowWritePort", "WritePort",
]

#: Cycles from a request to its answer on a RowReadPort (a ReadPort's are ``cfg.read_latency``).
ROW_READ_LATENCY = 1
#: Cycles from a request to its answer on a DrainPort.
DRAIN_LATENCY = 3
#: Attributes of memories from which no program needs a word in the cycle in which it is written. Synthesis would add a comparison
#: and a bypass to every block RAM to make such a read return the old word.
NO_COLLISION_LOGIC = {"no_rw_check": 1}


class RowInterface(wiring.PureInterface):
    """The interface that a :class:`RowReadPort` or a :class:`RowWritePort` creates."""

    en: Signal
    row: Signal
    data: Signal


class AccessInterface(RowInterface):
    """The interface that a :class:`ReadPort` or a :class:`WritePort` creates."""

    col: Signal
    lane: Signal
    mask: Signal


class DrainInterface(wiring.PureInterface):
    """The interface that a :class:`DrainPort` creates."""

    en: Signal
    bank: Signal
    k: Signal
    row: Signal
    data: Signal


class ReadPort(wiring.Signature):
    """Reads ``n`` words from the activation buffer; ``data`` is there ``cfg.read_latency`` cycles after ``en``.

    Members
    -------
    en : a request in this cycle.
    row : buffer row of position 0, modulo 65536.
    col : 0, row access: position j is lane j of row ``row``. 1, column access: position j is lane ``lane`` of row ``row + j``.
    lane : lane of a column access, 0 to n-1; ignored in a row access.
    mask : bit j: position j is wanted. The others touch nothing and their data is undefined.
    data : position j in bits 16*j to 16*j+15.
    """

    def __init__(self, n: int) -> None:
        self.n = check_range("ReadPort", "n", n, 2, 32)
        super().__init__({
            "en": Out(1), "row": Out(16), "col": Out(1), "lane": Out(5), "mask": Out(n), "data": In(16 * n),
        })

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> AccessInterface:
        """The interface."""
        return AccessInterface(self, path=path, src_loc_at=1 + src_loc_at)


class WritePort(wiring.Signature):
    """Writes ``n`` words into the activation buffer; members as in ReadPort, ``data`` goes with the request.

    A read asked for one cycle later, or later still, sees the new words. What a read of the same cycle sees is undefined.
    """

    def __init__(self, n: int) -> None:
        self.n = check_range("WritePort", "n", n, 2, 32)
        super().__init__({
            "en": Out(1), "row": Out(16), "col": Out(1), "lane": Out(5), "mask": Out(n), "data": Out(16 * n),
        })

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> AccessInterface:
        """The interface."""
        return AccessInterface(self, path=path, src_loc_at=1 + src_loc_at)


class RowReadPort(wiring.Signature):
    """Reads whole rows of a plain memory; ``data`` is there one cycle after ``en``."""

    def __init__(self, n: int) -> None:
        self.n = check_range("RowReadPort", "n", n, 2, 32)
        super().__init__({"en": Out(1), "row": Out(16), "data": In(16 * n)})

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> RowInterface:
        """The interface."""
        return RowInterface(self, path=path, src_loc_at=1 + src_loc_at)


class RowWritePort(wiring.Signature):
    """Writes whole rows of a plain memory; a read asked for one cycle later, or later still, sees the new row.

    What a read of the same cycle sees is undefined.
    """

    def __init__(self, n: int) -> None:
        self.n = check_range("RowWritePort", "n", n, 2, 32)
        super().__init__({"en": Out(1), "row": Out(16), "data": Out(16 * n)})

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> RowInterface:
        """The interface."""
        return RowInterface(self, path=path, src_loc_at=1 + src_loc_at)


class DrainPort(wiring.Signature):
    """Reads ``n`` partial sums from a register-file bank; the answer is there 3 cycles after ``en``.

    Parameters
    ----------
    n : int
        PEs in an array row.
    acc_bits : int
        Bits of a partial sum.
    rf : int
        Entries of a register-file bank.

    Members
    -------
    en : a request in this cycle.
    bank : register-file bank.
    k : entry of the register file.
    row : array row; in WS the partial sums of pixel t lie in row t mod n, entry t // n.
    data : PE j's signed partial sum in bits acc_bits*j and up; 0 if nothing has been accumulated in this entry (OS).
    """

    def __init__(self, n: int, acc_bits: int, rf: int) -> None:
        self.n = check_range("DrainPort", "n", n, 2, 32)
        self.acc_bits = check_range("DrainPort", "acc_bits", acc_bits, 34, 48)
        self.rf = check_range("DrainPort", "rf", rf, 4, 64)
        super().__init__({
            "en": Out(1), "bank": Out(1), "k": Out(6), "row": Out(5), "data": In(acc_bits * n),
        })

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> DrainInterface:
        """The interface."""
        return DrainInterface(self, path=path, src_loc_at=1 + src_loc_at)
