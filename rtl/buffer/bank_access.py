"""From a row or column access to the banks of the activation buffer."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.buffer.skew import is_power_of_two, residue_bits, rotate_left, sum_modulo
from squeezelerator.rtl.primitives.parameters import check_config, check_flag, check_range
from squeezelerator.spec.machine import MachineConfig

__all__ = ["BankAccess"]


class BankAccess(wiring.Component):
    """Turns an access of the activation buffer into addresses and enables of its banks.

    With rows counted as signed 16-bit numbers, position j of an access lies in bank ``(row + lane + j) mod N`` (row access:
    lane = 0), at row ``row + j`` in a column access and ``row`` in a row access. A row is sector ``row // sector_rows``,
    address ``row mod sector_rows``. A column access touches at most two neighbouring sectors, because a sector has at
    least N rows; its first rows may even lie below row 0 if they are masked (padding left of a map that begins at row 0).

    Latency: 1 cycle; throughput: one access a cycle.

    Parameters
    ----------
    cfg : MachineConfig
        The machine.
    columns : bool
        Whether column accesses are wanted. Without them all banks have the same address, and there is one for all.

    Members
    -------
    en, row, col, lane, mask : the access, as in ports.ReadPort; ``col`` and ``lane`` are ignored without ``columns``.
    hit : for each sector a bit for each bank, 1 where this bank of this sector is wanted.
    addr : address in the sector, for each bank (one if not ``columns``).
    rot : how far the banks are rotated: position j is bank ``(rot + j) mod N``.
    fault : 1 if a wanted position lies in a row that does not exist.
    """

    en: Signal
    row: Signal
    col: Signal
    lane: Signal
    mask: Signal
    hit: list[Signal]
    addr: list[Signal]
    rot: Signal
    fault: Signal

    def __init__(self, *, cfg: MachineConfig, columns: bool) -> None:
        self._cfg = check_config("BankAccess", cfg)
        check_range("BankAccess", "cfg.sector_rows", cfg.sector_rows, cfg.n, 65536)
        self._columns = check_flag("BankAccess", "columns", columns)
        address_bits = self._address_bits = max(1, (cfg.sector_rows - 1).bit_length())
        copies = cfg.n if columns else 1
        super().__init__({
            "en": In(1), "row": In(16), "col": In(1), "lane": In(5), "mask": In(cfg.n),
            "hit": Out(cfg.n).array(cfg.sectors),
            "addr": Out(address_bits).array(copies),
            "rot": Out(residue_bits(cfg.n)),
            "fault": Out(1),
        })

    @property
    def columns(self) -> bool:
        """Whether column accesses are understood."""
        return self._columns

    @property
    def address_bits(self) -> int:
        """Bits of an address in a sector."""
        return self._address_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n, sectors, rows = self._cfg.n, self._cfg.sectors, self._cfg.sector_rows

        # First cycle: the sector of the first row, and where in it the row lies. Bit 0 of `where` stands for the rows
        # just below 0, bit s + 1 for sector s.
        reached = [self.row >= s * rows for s in range(sectors + 1)]
        where = Signal(sectors + 1)
        m.d.comb += where.eq(Cat(self.row >= 65536 - rows, *(reached[s] & ~reached[s + 1] for s in range(sectors))))
        start = Signal(self._address_bits + 1)
        starts = 0
        for bit in range(sectors + 1):
            starts |= Mux(where[bit], (bit - 1) * rows % (1 << len(start)), 0)
        m.d.comb += start.eq(starts)

        lane = Mux(self.col, self.lane, 0) if self._columns else 0
        rot = sum_modulo(m, self.row, lane, n, "first_bank")
        where_reg = Signal.like(where)
        local = Signal(self._address_bits)
        local_next = Signal(signed(self._address_bits + 1))
        mask = Signal(n)
        col = Signal()
        m.d.sync += [
            where_reg.eq(where),
            local.eq(self.row - start),
            local_next.eq(self.row - start - rows),
            self.rot.eq(rot),
            mask.eq(Mux(self.en, self.mask, 0)),
            col.eq(self.col),
        ]

        # Second cycle: every bank's distance from the first row; a bank beyond the end of the sector counts from there.
        used = Signal(n)
        m.d.comb += used.eq(rotate_left(m, mask, self.rot, n, "mask"))
        beyond = Signal(n)
        if self._columns:
            for bank in range(n):
                distance = Signal(residue_bits(n), name=f"distance{bank}")
                here = Signal(self._address_bits, name=f"here{bank}")
                there = Signal(signed(self._address_bits + 1), name=f"there{bank}")
                back = bank - self.rot
                if not is_power_of_two(n):
                    back = Mux(self.rot > bank, bank + n - self.rot, back)
                m.d.comb += [
                    distance.eq(Mux(col, back[: len(distance)], 0)),
                    here.eq(local + distance),
                    there.eq(local_next + distance),
                    beyond[bank].eq(there >= 0),
                    self.addr[bank].eq(Mux(beyond[bank], there, here)),
                ]
        else:
            m.d.comb += self.addr[0].eq(local)
        for s in range(sectors):
            m.d.comb += self.hit[s].eq(
                used & ((where_reg[s + 1].replicate(n) & ~beyond) | (where_reg[s].replicate(n) & beyond)))
        exists = (where_reg[1:].any().replicate(n) & ~beyond) | (where_reg[:-1].any().replicate(n) & beyond)
        m.d.comb += self.fault.eq((used & ~exists).any())
        return m
