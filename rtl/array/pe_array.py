"""N x N processing elements, their column multiplexers and the accumulating adders below the columns."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, ResetSignal, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.array.pe import PE, PE_MODULE, pe_signature
from squeezelerator.rtl.primitives.broadcast import broadcast
from squeezelerator.rtl.primitives.delay import copies, delayed
from squeezelerator.rtl.primitives.parameters import check_config, check_flag
from squeezelerator.spec.machine import MachineConfig

__all__ = ["MERGE_MODULE", "MERGE_VERILOG", "PEArray"]

#: Name of the Verilog module that the entries of four PEs of a column, of which at most one is not zero, go through first. Synthesis, which
#: does not know what lies beside what, would take any PEs together; where it can be told which cells to use, this is the module to replace.
MERGE_MODULE = "squeezelerator_merge"

MERGE_VERILOG = f"""\
module {MERGE_MODULE}(value0, value1, value2, value3, merged);
  parameter WIDTH = 2;
  input [WIDTH-1:0] value0;
  input [WIDTH-1:0] value1;
  input [WIDTH-1:0] value2;
  input [WIDTH-1:0] value3;
  output [WIDTH-1:0] merged;
  assign merged = value0 | value1 | value2 | value3;
endmodule
"""


def all_but(index: Value, shown: Value, n: int) -> Value:
    """``n`` ones but for a zero at ``index`` if ``shown``."""
    return ~(shown << index)[:n]


class PEArray(wiring.Component):
    """The array. Row ports are lists over array rows, column ports over columns, all packed in flat signals.

    Parameters
    ----------
    cfg : MachineConfig
    instance : bool
        True: PEs are instances of the separately converted Verilog module ``PE_MODULE``; False: submodules, for
        Amaranth's own simulator.

    Members
    -------
    ws : dataflow, 1 weight stationary; settled two cycles before anything is computed.
    load_row, load_col, operand : one-hot-or-zero row, columns, and 16-bit words for the ``next`` registers.
    shift : the ``next`` registers of every other row take over those of the row below.
    swap, stream : for each row.
    os_write, os_bank, os_entry, os_fresh : OS accumulation of the next cycle (products of the streams a cycle ago).
    ws_write, ws_bank, ws_entry, ws_row : WS accumulation of the sums that leave the bottom two cycles later. Their entry is read in the
        next cycle, added in the one after it and written in the third, so that an entry may be named again 4 cycles later.
    os_next_entry, ws_next_entry, ws_next_row, ws_next_fresh : ``os_entry``, ``ws_entry``, ``ws_row`` of the next cycle, and whether
        nothing is accumulated in that entry yet.
    drain_en, drain_bank, drain_entry, drain_row : a register-file read in the cycle after the next; its bank must not be computing.
    drain_empty : what that read is to give is zero.
    drain_data : the partial sums of that row, two cycles after ``drain_en``.

    What enables the register files of all PEs comes a cycle ahead, so that it leaves registers here, and entries are addressed two cycles
    ahead, so that the addresses do, too: reading, adding and writing an entry is the array's longest path. An entry that is added to in
    two cycles in a row is not yet there when it is read for the second; the PE then goes on with the sum that it has just formed.
    """

    ws: Signal
    load_row: Signal
    load_col: Signal
    operand: Signal
    shift: Signal
    swap: Signal
    stream: Signal
    os_write: Signal
    os_bank: Signal
    os_entry: Signal
    os_fresh: Signal
    os_next_entry: Signal
    ws_write: Signal
    ws_bank: Signal
    ws_entry: Signal
    ws_row: Signal
    ws_next_entry: Signal
    ws_next_row: Signal
    ws_next_fresh: Signal
    drain_en: Signal
    drain_bank: Signal
    drain_entry: Signal
    drain_row: Signal
    drain_empty: Signal
    drain_data: Signal

    def __init__(self, *, cfg: MachineConfig, instance: bool = True) -> None:
        self.cfg = check_config("PEArray", cfg)
        self.instance = check_flag("PEArray", "instance", instance)
        n, entry = cfg.n, range(cfg.rf)
        super().__init__({
            "ws": In(1), "load_row": In(n), "load_col": In(n), "operand": In(16 * n), "shift": In(1), "swap": In(n),
            "stream": In(16 * n),
            "os_write": In(1), "os_bank": In(1), "os_entry": In(entry), "os_fresh": In(1),
            "os_next_entry": In(entry),
            "ws_write": In(1), "ws_bank": In(1), "ws_entry": In(entry), "ws_row": In(range(n)),
            "ws_next_entry": In(entry), "ws_next_row": In(range(n)), "ws_next_fresh": In(1),
            "drain_en": In(1), "drain_bank": In(1), "drain_entry": In(entry), "drain_row": In(range(n)),
            "drain_empty": In(1),
            "drain_data": Out(cfg.acc_bits * n),
        })

    def _outputs(self, i: int, j: int) -> dict[str, Signal]:
        """Signals {port: signal} for the outputs of PE (i, j)."""
        return {name: Signal(member.shape, name=f"{name}_{i}_{j}")
                for name, member in pe_signature(self.cfg).items() if member.flow == Out}

    def _pe(self, m: Module, i: int, j: int, inputs: dict[str, Value], outputs: dict[str, Signal]) -> None:
        """Place PE (i, j), fed by ``inputs`` {port: value}; drives ``outputs``."""
        if self.instance:
            # Signals that many PEs share are connected as they are: a wire a port and PE would triple the Verilog.
            m.submodules[f"pe_{i}_{j}"] = Instance(
                PE_MODULE, i_clk=ClockSignal(), i_rst=ResetSignal(),
                **{f"i_{name}": value for name, value in inputs.items()},
                **{f"o_{name}": signal for name, signal in outputs.items()})
        else:
            pe = m.submodules[f"pe_{i}_{j}"] = PE(cfg=self.cfg, instance=False)
            m.d.comb += [getattr(pe, name).eq(value) for name, value in inputs.items()]
            m.d.comb += [signal.eq(getattr(pe, name)) for name, signal in outputs.items()]

    def _merged(self, m: Module, name: str, entries: list[Signal]) -> Signal:
        """OR of the ``entries`` of a column's PEs, of which at most one is not zero."""
        value = 0
        for i in range(0, len(entries), 4):
            four = [entry.as_unsigned() for entry in entries[i : i + 4]]
            if self.instance and len(four) > 2:
                merged = Signal(self.cfg.acc_bits, name=f"{name}_rows{i}")
                m.submodules[f"{name}_rows{i}"] = Instance(
                    MERGE_MODULE, p_WIDTH=len(merged), o_merged=merged,
                    **{f"i_value{place}": four[place] if place < len(four) else Const(0, len(merged)) for place in range(4)})
                four = [merged]
            for entry in four:
                value = value | entry
        selected = Signal(signed(self.cfg.acc_bits), name=name)
        m.d.comb += selected.eq(value)
        return selected

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        n, bits = cfg.n, cfg.acc_bits
        # A copy for the PEs: so many inputs are slow to reach, and ARRAY's control waits for nothing else as urgently.
        ws = Signal(name="ws_copy")
        m.d.sync += ws.eq(self.ws)
        # Each bank is addressed by whoever owns it: the drain, or else the computing side. `ws` changes only while nothing is computed.
        # Every column has registers of its own for what goes to all of its PEs.
        addr, hide = [], []
        write = [Signal(n, name=f"write{b}") for b in range(2)]
        own = [Signal(name=f"own{b}") for b in range(2)]
        again = Signal()
        follows = Signal()
        os_written = Signal()
        os_bank_before = Signal()
        drain_asked = Signal(name="drain_bank_asked")
        m.d.sync += drain_asked.eq(self.drain_bank)
        ws_bank, drain_bank = copies(m, self.ws_bank, n, "ws_bank"), copies(m, drain_asked, n, "drain_bank")
        ws_sums = Cat(self.ws_write, self.ws_bank, self.ws_row, self.ws_entry)
        ws_late = data.View(data.StructLayout({"write": 1, "bank": 1, "row": range(n), "entry": range(cfg.rf)}),
                            delayed(m, ws_sums, 2, "ws_sums"))
        next_write_addr = Signal(range(cfg.rf))
        m.d.comb += next_write_addr.eq(Mux(ws, ws_late.entry, self.os_entry))
        write_addr = copies(m, next_write_addr, n, "write_addr")
        m.d.sync += [
            os_written.eq(self.os_write), os_bank_before.eq(self.os_bank), again.eq(~ws & follows & ~self.os_fresh),
        ]
        m.d.comb += follows.eq(os_written & (os_bank_before == self.os_bank) & (write_addr[0] == self.os_entry))
        for b in range(2):
            next_addr = Signal(range(cfg.rf), name=f"next_addr{b}")
            next_hide = Signal(n, name=f"next_hide{b}")
            draining = self.drain_en & (self.drain_bank == b)
            # In OS every PE needs its own sum. In WS a column needs that of one row, as it does for DRAIN, or none for a fresh sum.
            computed = Mux(ws, all_but(self.ws_next_row, ~self.ws_next_fresh, n), 0)
            m.d.comb += [
                next_addr.eq(Mux(draining, self.drain_entry, Mux(ws, self.ws_next_entry, self.os_next_entry))),
                next_hide.eq(Mux(draining, all_but(self.drain_row, ~self.drain_empty, n), computed)),
            ]
            addr.append(copies(m, next_addr, n, f"addr{b}"))
            hide.append(copies(m, next_hide, n, f"hide{b}"))
            m.d.sync += own[b].eq(~ws & (self.os_bank == b) & ~follows & ~self.os_fresh)
            with m.If(ws):
                m.d.sync += write[b].eq(Mux(ws_late.write & (ws_late.bank == b), 1 << ws_late.row, 0))
            with m.Else():
                m.d.sync += write[b].eq((self.os_write & (self.os_bank == b)).replicate(n))

        to_pes = {"ws": ws, "own0": own[0], "own1": own[1], "again": again}
        if self.instance:
            to_pes = {name: broadcast(m, value, name) for name, value in to_pes.items()}
        nothing = Signal(signed(bits), name="nothing")
        no_pixel = Signal(signed(16), name="no_pixel")
        for j in range(n):
            kept = Signal(signed(bits), name=f"kept{j}", reset_less=True)
            above = nothing
            entries = [[], []]
            column = [self._outputs(i, j) for i in range(n)]
            below = [pe["following"] for pe in column[1:]] + [no_pixel]
            for i, outputs in enumerate(column):
                self._pe(m, i, j, {
                    **to_pes, "load_row": self.load_row[i], "load_col": self.load_col[j],
                    "operand": self.operand[16 * j : 16 * (j + 1)], "shift": self.shift, "below": below[i], "swap": self.swap[i],
                    "stream": self.stream[16 * i : 16 * (i + 1)],
                    "addr0": addr[0][j], "addr1": addr[1][j], "write_addr": write_addr[j],
                    "hide0": hide[0][j][i], "hide1": hide[1][j][i], "write0": write[0][i], "write1": write[1][i],
                    "sum_in": above, "write_data": kept}, outputs)
                above = outputs["sum_out"]
                entries[0].append(outputs["entry0"])
                entries[1].append(outputs["entry1"])
            read = [self._merged(m, f"column{j}_bank{b}", entries[b]) for b in range(2)]
            before = Signal(signed(bits), name=f"before{j}", reset_less=True)
            m.d.sync += [before.eq(Mux(ws_bank[j], read[1], read[0])), kept.eq(before + above)]
            m.d.comb += self.drain_data[bits * j : bits * (j + 1)].eq(Mux(drain_bank[j], read[1], read[0]))
        return m
