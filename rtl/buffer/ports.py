"""Ports between the units and the memories, as interface signatures.

All are described from the side that asks: ``Out(ReadPort(n))`` is a member of the unit that reads, ``In(ReadPort(n))`` of the
memory that answers. Nothing here can stall: an answer comes a fixed number of cycles after its request, one request a cycle.
"""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "DRAIN_LATENCY", "NO_COLLISION_LOGIC", "ROW_READ_LATENCY",
    "DrainPort", "ReadPort", "RowReadPort", "RowWritePort", "WritePort",
]

#: Cycles from a request to its answer on a RowReadPort (a ReadPort's are ``cfg.read_latency``).
ROW_READ_LATENCY = 1
#: Cycles from a request to its answer on a DrainPort.
DRAIN_LATENCY = 3
#: Attributes of memories from which no program needs a word in the cycle in which it is written. Synthesis would add a comparison
#: and a bypass to every block RAM to make such a read return the old word.
NO_COLLISION_LOGIC = {"no_rw_check": 1}


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

    def __init__(self, n):
        self.n = n
        super().__init__({
            "en": Out(1), "row": Out(16), "col": Out(1), "lane": Out(5), "mask": Out(n), "data": In(16 * n),
        })


class WritePort(wiring.Signature):
    """Writes ``n`` words into the activation buffer; members as in ReadPort, ``data`` goes with the request.

    A read asked for one cycle later, or later still, sees the new words. What a read of the same cycle sees is undefined.
    """

    def __init__(self, n):
        self.n = n
        super().__init__({
            "en": Out(1), "row": Out(16), "col": Out(1), "lane": Out(5), "mask": Out(n), "data": Out(16 * n),
        })


class RowReadPort(wiring.Signature):
    """Reads whole rows of a plain memory; ``data`` is there one cycle after ``en``."""

    def __init__(self, n):
        self.n = n
        super().__init__({"en": Out(1), "row": Out(16), "data": In(16 * n)})


class RowWritePort(wiring.Signature):
    """Writes whole rows of a plain memory; a read asked for one cycle later, or later still, sees the new row.

    What a read of the same cycle sees is undefined.
    """

    def __init__(self, n):
        self.n = n
        super().__init__({"en": Out(1), "row": Out(16), "data": Out(16 * n)})


class DrainPort(wiring.Signature):
    """Reads ``n`` partial sums from a register-file bank; the answer is there 3 cycles after ``en``.

    Members
    -------
    en : a request in this cycle.
    bank : register-file bank.
    k : entry of the register file.
    row : array row; in WS the partial sums of pixel t lie in row t mod n, entry t // n.
    data : PE j's signed partial sum in bits acc_bits*j and up; 0 if nothing has been accumulated in this entry (OS).
    """

    def __init__(self, n, acc_bits, rf):
        self.n = n
        self.acc_bits = acc_bits
        self.rf = rf
        super().__init__({
            "en": Out(1), "bank": Out(1), "k": Out(6), "row": Out(5), "data": In(acc_bits * n),
        })
