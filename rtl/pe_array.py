"""N x N processing elements, their column multiplexers and the accumulating adders below the columns."""

from amaranth.hdl import ClockSignal, Instance, Module, Mux, ResetSignal, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .pe import PE, PE_MODULE, pe_signature

__all__ = ["PEArray"]


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
    ws : dataflow, 1 weight stationary.
    load_row, load_col, operand : one-hot-or-zero row, columns, and 16-bit words for the ``next`` registers.
    swap, stream : for each row.
    os_write, os_bank, os_entry, os_fresh : OS accumulation of this cycle (products of the streams two cycles ago).
    ws_write, ws_bank, ws_entry, ws_row, ws_fresh : WS accumulation of the sums that leave the bottom in this cycle.
    drain_en, drain_bank, drain_entry, drain_row : a register-file read in this cycle; its bank must not be computing.
    drain_data : the partial sums of that row, in the same cycle.
    """

    def __init__(self, cfg, *, instance=True):
        self.cfg = cfg
        self.instance = instance
        n, entry = cfg.n, range(cfg.rf)
        super().__init__({
            "ws": In(1), "load_row": In(n), "load_col": In(n), "operand": In(16 * n), "swap": In(n), "stream": In(16 * n),
            "os_write": In(1), "os_bank": In(1), "os_entry": In(entry), "os_fresh": In(1),
            "ws_write": In(1), "ws_bank": In(1), "ws_entry": In(entry), "ws_row": In(range(n)), "ws_fresh": In(1),
            "drain_en": In(1), "drain_bank": In(1), "drain_entry": In(entry), "drain_row": In(range(n)),
            "drain_data": Out(cfg.acc_bits * n),
        })

    def _pe(self, m, i, j):
        """Place PE (i, j); returns its ports as a dict of signals."""
        ports = {}
        for name, member in pe_signature(self.cfg).items():
            ports[name] = Signal(member.shape, name=f"pe_{i}_{j}_{name}")
        if self.instance:
            connections = {f"{'i' if member.flow == In else 'o'}_{name}": ports[name]
                           for name, member in pe_signature(self.cfg).items()}
            m.submodules[f"pe_{i}_{j}"] = Instance(PE_MODULE, i_clk=ClockSignal(), i_rst=ResetSignal(), **connections)
        else:
            pe = m.submodules[f"pe_{i}_{j}"] = PE(self.cfg)
            for name, member in pe_signature(self.cfg).items():
                inner = getattr(pe, name)
                m.d.comb += inner.eq(ports[name]) if member.flow == In else ports[name].eq(inner)
        return ports

    def elaborate(self, platform):
        m = Module()
        cfg = self.cfg
        n, bits = cfg.n, cfg.acc_bits
        grid = [[self._pe(m, i, j) for j in range(n)] for i in range(n)]

        # Each bank is addressed by whoever owns it: the drain, or else the computing side.
        addr = [Signal(range(cfg.rf), name=f"addr{b}") for b in range(2)]
        row = [Signal(n, name=f"row_select{b}") for b in range(2)]
        write = [Signal(n, name=f"write{b}") for b in range(2)]
        for b in range(2):
            drained = Signal(name=f"drained{b}")
            m.d.comb += [
                drained.eq(self.drain_en & (self.drain_bank == b)),
                addr[b].eq(Mux(drained, self.drain_entry, Mux(self.ws, self.ws_entry, self.os_entry))),
                row[b].eq(1 << Mux(drained, self.drain_row, self.ws_row)),
            ]
            with m.If(self.ws):
                m.d.comb += write[b].eq(Mux(self.ws_write & (self.ws_bank == b), 1 << self.ws_row, 0))
            with m.Else():
                m.d.comb += write[b].eq((self.os_write & (self.os_bank == b)).replicate(n))

        for j in range(n):
            column = []
            for b in range(2):
                # AND-OR multiplexer over the rows.
                value = 0
                for i in range(n):
                    value = value | (grid[i][j][f"entry{b}"].as_unsigned() & row[b][i].replicate(bits))
                selected = Signal(signed(bits), name=f"column{j}_bank{b}")
                m.d.comb += selected.eq(value)
                column.append(selected)
            kept = Signal(signed(bits), name=f"kept{j}")
            m.d.comb += [
                kept.eq(Mux(self.ws_fresh, 0, Mux(self.ws_bank, column[1], column[0])) + grid[n - 1][j]["sum_out"]),
                self.drain_data[bits * j : bits * (j + 1)].eq(Mux(self.drain_bank, column[1], column[0])),
            ]
            for i in range(n):
                pe = grid[i][j]
                m.d.comb += [
                    pe["ws"].eq(self.ws),
                    pe["load_row"].eq(self.load_row[i]), pe["load_col"].eq(self.load_col[j]),
                    pe["operand"].eq(self.operand[16 * j : 16 * (j + 1)].as_signed()),
                    pe["swap"].eq(self.swap[i]), pe["stream"].eq(self.stream[16 * i : 16 * (i + 1)].as_signed()),
                    pe["fresh"].eq(self.os_fresh), pe["bank"].eq(self.os_bank),
                    pe["addr0"].eq(addr[0]), pe["addr1"].eq(addr[1]),
                    pe["write0"].eq(write[0][i]), pe["write1"].eq(write[1][i]),
                    pe["sum_in"].eq(grid[i - 1][j]["sum_out"] if i else 0), pe["write_data"].eq(kept),
                ]
        return m


