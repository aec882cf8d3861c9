"""A memory of whole rows: the weight buffer and the bias buffer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.buffer.buffer_memory import place_memory
from squeezelerator.rtl.buffer.ports import RowInterface, RowReadPort, RowWritePort
from squeezelerator.rtl.primitives.parameters import check_config, check_flag, check_range
from squeezelerator.spec.machine import MachineConfig

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
    instance : bool
        True: the memory is an instance of a Verilog module; False: a submodule, for Amaranth's own simulator.

    Members
    -------
    wr : RowWritePort.
    rd : RowReadPort.
    fault_row : one cycle after the request: it named a row that does not exist (nothing was written, the data is undefined).
    """

    wr: RowInterface
    rd: RowInterface
    fault_row: Signal

    def __init__(self, *, cfg: MachineConfig, rows: int, instance: bool = True) -> None:
        self._n = check_config("RowMemory", cfg).n
        self._rows = check_range("RowMemory", "rows", rows, 1, 65536)
        self._instance = check_flag("RowMemory", "instance", instance)
        super().__init__({"wr": In(RowWritePort(cfg.n)), "rd": In(RowReadPort(cfg.n)), "fault_row": Out(1)})

    @property
    def rows(self) -> int:
        """Depth."""
        return self._rows

    def elaborate(self, platform: object) -> Module:
        m = Module()
        write_ok = Signal()
        m.d.comb += write_ok.eq(self.wr.row < self._rows)
        m.d.comb += self.rd.data.eq(place_memory(
            m, "rows", 16 * self._n, self._rows, instance=self._instance, rd_en=self.rd.en, rd_addr=self.rd.row,
            wr_en=self.wr.en & write_ok, wr_addr=self.wr.row, wr_data=self.wr.data))
        m.d.sync += self.fault_row.eq((self.wr.en & ~write_ok) | (self.rd.en & (self.rd.row >= self._rows)))
        return m
