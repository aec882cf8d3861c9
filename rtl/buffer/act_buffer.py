"""The activation buffer: sectors of N skewed banks, four readers, three writers."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.buffer.bank_access import BankAccess
from squeezelerator.rtl.buffer.buffer_memory import place_memory
from squeezelerator.rtl.buffer.ports import AccessInterface, ReadPort, WritePort
from squeezelerator.rtl.buffer.skew import rotate_left, rotate_right
from squeezelerator.rtl.primitives.delay import delayed
from squeezelerator.rtl.primitives.parameters import check_config, check_flag, check_range
from squeezelerator.spec.machine import MachineConfig

__all__ = ["ActBuffer"]

#: Cycles from a request to its data: address, memory, choice of the sector.
READ_LATENCY = 3
#: Ports that understand column accesses, and ports that read or write along a row only.
COLUMN_READS, ROW_READS = ("array", "residual"), ("pool", "store")
COLUMN_WRITES, ROW_WRITES = ("drain",), ("load", "pool")

#: What all ports of a kind want of a sector: enables (a bit for each bank), addresses (one for each), conflict.
Merged = tuple[Value, list[Value], Value]


class ActBuffer(wiring.Component):
    """``sectors`` x N memories of ``sector_rows`` words, each with one read and one write port.

    Position j of an access lies in bank ``(row + lane + j) mod N`` (see BankAccess); a position whose mask bit is 0 touches
    nothing. All ports may be used in every cycle; it is the program's duty that no two ports of a kind meet in a bank.

    Latency: data 3 cycles after the request (address, memory, choice of the sector; the rotation follows the last
    register). A write is seen by every read that is requested at least one cycle later; what a read of this word requested
    in the same cycle gets is undefined (in simulation: the old word). Throughput: an access a cycle on each port.

    Parameters
    ----------
    cfg : MachineConfig
        The machine; ``cfg.read_latency`` must be 3.
    instance : bool
        True: the banks are instances of a Verilog module; False: submodules, for Amaranth's own simulator.

    Members
    -------
    rd_array, rd_residual : ReadPort, rows and columns.
    rd_pool, rd_store : ReadPort, rows (``col`` and ``lane`` are ignored).
    wr_drain : WritePort, rows and columns.
    wr_load, wr_pool : WritePort, rows (``col`` and ``lane`` are ignored).
    fault_conflict : three cycles after the request: two reads or two writes met in a bank. Two of the ports that know
        only rows already conflict when they meet in a sector. What is read or written then is undefined.
    fault_row : three cycles after the request: an unmasked position lies in a row that does not exist.
    fault_ports : with either, the ports that named such a row, or else all that were used in that cycle: readers array, residual, pool,
        store, then writers drain, load, pool.
    """

    rd_array: AccessInterface
    rd_residual: AccessInterface
    rd_pool: AccessInterface
    rd_store: AccessInterface
    wr_drain: AccessInterface
    wr_load: AccessInterface
    wr_pool: AccessInterface
    fault_conflict: Signal
    fault_ports: Signal
    fault_row: Signal

    def __init__(self, *, cfg: MachineConfig, instance: bool = True) -> None:
        self._cfg = check_config("ActBuffer", cfg)
        check_range("ActBuffer", "cfg.read_latency", cfg.read_latency, READ_LATENCY, READ_LATENCY)
        self._instance = check_flag("ActBuffer", "instance", instance)
        read, write = In(ReadPort(cfg.n)), In(WritePort(cfg.n))
        super().__init__({
            **{f"rd_{name}": read for name in COLUMN_READS + ROW_READS},
            **{f"wr_{name}": write for name in COLUMN_WRITES + ROW_WRITES},
            "fault_conflict": Out(1),
            "fault_ports": Out(len(COLUMN_READS + ROW_READS + COLUMN_WRITES + ROW_WRITES)),
            "fault_row": Out(1),
        })

    @property
    def cfg(self) -> MachineConfig:
        """The machine."""
        return self._cfg

    def _access(self, m: Module, name: str, columns: bool) -> BankAccess:
        """A BankAccess for the port called ``name``."""
        port = getattr(self, name)
        access = BankAccess(cfg=self._cfg, columns=columns)
        m.submodules[f"access_{name}"] = access
        m.d.comb += [access.en.eq(port.en), access.row.eq(port.row), access.col.eq(port.col),
                     access.lane.eq(port.lane), access.mask.eq(port.mask)]
        return access

    def _merge(self, m: Module, kind: str, columns: list[BankAccess], rows: list[BankAccess], sector: int) -> Merged:
        """Enables (bit a bank), addresses (one a bank) and conflict of the ports of a kind in a sector."""
        n = self._cfg.n
        row_hits = Signal(n, name=f"{kind}_row_hits{sector}")
        row_addr = Signal(len(rows[0].addr[0]), name=f"{kind}_row_addr{sector}")
        m.d.comb += row_hits.eq(rows[0].hit[sector] | rows[1].hit[sector])
        # A row access wants the same address in every bank, so that the choice between two is made once a sector.
        m.d.comb += row_addr.eq(Mux(rows[0].hit[sector].any(), rows[0].addr[0], rows[1].addr[0]))
        clash = rows[0].hit[sector].any() & rows[1].hit[sector].any()
        enables = row_hits
        addresses: list[Value] = [row_addr] * n
        for access in columns:
            clash |= (enables & access.hit[sector]).any()
            enables = enables | access.hit[sector]
            addresses = [Mux(access.hit[sector][b], access.addr[b], addresses[b]) for b in range(n)]
        return enables, addresses, clash

    def elaborate(self, platform: object) -> Module:
        m = Module()
        read_columns = [self._access(m, f"rd_{name}", True) for name in COLUMN_READS]
        read_rows = [self._access(m, f"rd_{name}", False) for name in ROW_READS]
        write_columns = [self._access(m, f"wr_{name}", True) for name in COLUMN_WRITES]
        write_rows = [self._access(m, f"wr_{name}", False) for name in ROW_WRITES]
        written = self._rotate_written(m, write_columns + write_rows)
        clashes: list[Value] = []
        stored = []
        for s in range(self._cfg.sectors):
            read = self._merge(m, "read", read_columns, read_rows, s)
            write = self._merge(m, "write", write_columns, write_rows, s)
            clashes += [read[-1], write[-1]]
            hits = [write_columns[0].hit[s], write_rows[0].hit[s]]
            stored.append(self._sector(m, s, read, write, [
                Mux(hits[0][b], written[0][word], Mux(hits[1][b], written[1][word], written[2][word]))
                for b, word in enumerate(self._words)]))
        self._answer(m, read_columns + read_rows, stored)

        accesses = read_columns + read_rows + write_columns + write_rows
        clashed = Signal(len(clashes))
        missed = Signal(len(accesses))
        used = delayed(m, Cat(access.en for access in accesses), 2, "used")
        m.d.sync += [
            clashed.eq(Cat(clashes)), missed.eq(Cat(access.fault for access in accesses)),
            self.fault_conflict.eq(clashed.any()), self.fault_row.eq(missed.any()),
            self.fault_ports.eq(Mux(missed.any(), missed, used)),
        ]
        return m

    @property
    def _words(self) -> list[slice]:
        """Bits of each position in a packed row."""
        return [slice(16 * b, 16 * b + 16) for b in range(self._cfg.n)]

    def _rotate_written(self, m: Module, accesses: list[BankAccess]) -> list[Value]:
        """The words to be written, from position to bank, one packed value for each write port; a cycle after the request."""
        n, written = self._cfg.n, []
        for name, access in zip(COLUMN_WRITES + ROW_WRITES, accesses, strict=True):
            port = getattr(self, f"wr_{name}")
            data = Signal(16 * n, name=f"{name}_data", reset_less=True)
            banks = Signal(16 * n, name=f"{name}_banks")
            m.d.sync += data.eq(port.data)
            m.d.comb += banks.eq(rotate_left(m, data, access.rot, n, f"wr_{name}"))
            written.append(banks)
        return written

    def _sector(self, m: Module, s: int, read: Merged, write: Merged, data: list[Value]) -> list[Value]:
        """The memories of sector ``s``; returns what each of them reads."""
        (read_en, read_addr, _), (write_en, write_addr, _) = read, write
        return [place_memory(
            m, f"sector{s}_bank{b}", 16, self._cfg.sector_rows, instance=self._instance,
            rd_en=read_en[b], rd_addr=read_addr[b], wr_en=write_en[b], wr_addr=write_addr[b], wr_data=data[b])
            for b in range(self._cfg.n)]

    def _answer(self, m: Module, accesses: list[BankAccess], stored: list[list[Value]]) -> None:
        """Two cycles after the request the memories answer; their words are chosen and kept, and rotated in the third.

        Which sector was asked is kept as a bit for each, which the access has anyway.
        """
        n = self._cfg.n
        for name, access in zip(COLUMN_READS + ROW_READS, accesses, strict=True):
            banks = Signal(16 * n, name=f"{name}_banks", reset_less=True)
            rot = delayed(m, access.rot, 2, f"{name}_rot")
            value = 0
            for s, words in enumerate(stored):
                asked = access.hit[s] if access.columns else access.hit[s].any()
                hit = delayed(m, asked, 1, f"{name}_hit{s}")
                value |= Cat(words) & Cat(hit[b if access.columns else 0].replicate(16) for b in range(n))
            m.d.sync += banks.eq(value)
            m.d.comb += getattr(self, f"rd_{name}").data.eq(rotate_right(m, banks, rot, n, f"rd_{name}"))
