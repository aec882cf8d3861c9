"""A memory of whole rows: the weight buffer and the bias buffer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .ports import NO_COLLISION_LOGIC, RowReadPort, RowWritePort

__all__ = ["RowMemory"]


class RowMemory(wiring.Component):
    """``rows`` rows of N words with one read and one write port.

    Latency: data one cycle after the request; a write is seen by reads requested at least one cycle later,
    undefined to one in the same cycle. Throughput: one
    read and one write a cycle.

    Parameters
    ----------
    cfg : MachineConfig
        The machine.
    rows : int
        Depth.

    Members
    -------
    wr : RowWritePort.
    rd : RowReadPort.
    fault_row : one cycle after the request: it named a row that does not exist (nothing was written, the data is undefined).
    """

    def __init__(self, cfg, *, rows):
        if not isinstance(rows, int) or not 1 <= rows <= 65536:
            raise ValueError(f"rows must be a whole number from 1 to 65536, not {rows!r}")
        self._rows = rows
        self._n = cfg.n
        super().__init__({"wr": In(RowWritePort(cfg.n)), "rd": In(RowReadPort(cfg.n)), "fault_row": Out(1)})

    @property
    def rows(self):
        """Depth."""
        return self._rows

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = memory.Memory(
            shape=16 * self._n, depth=self._rows, init=[], attrs=NO_COLLISION_LOGIC)
        rd, wr = rows.read_port(), rows.write_port()
        write_ok = Signal()
        m.d.comb += [
            write_ok.eq(self.wr.row < self._rows),
            wr.en.eq(self.wr.en & write_ok), wr.addr.eq(self.wr.row), wr.data.eq(self.wr.data),
            rd.en.eq(self.rd.en), rd.addr.eq(self.rd.row), self.rd.data.eq(rd.data),
        ]
        m.d.sync += self.fault_row.eq((self.wr.en & ~write_ok) | (self.rd.en & (self.rd.row >= self._rows)))
        return m
