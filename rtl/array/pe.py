"""The processing element: one multiplier, one adder, two register-file banks of partial sums."""

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Member, Out

from squeezelerator.rtl.buffer.ports import NO_COLLISION_LOGIC
from squeezelerator.rtl.primitives.parameters import check_config, check_flag
from squeezelerator.spec.machine import MachineConfig

__all__ = [
    "BANK_MODULE", "BANK_VERILOG", "MULTIPLIER_MODULE", "MULTIPLIER_VERILOG", "PE", "PE_MODULE", "RF_MEMORY", "RF_PART_BITS", "SUM_MODULE",
    "SUM_VERILOG", "pe_signature",
]

#: Name of the Verilog module; the array places it N * N times.
PE_MODULE = "squeezelerator_pe"
#: Names of the memories in it that hold the low bits of the two banks, as a pattern.
RF_MEMORY = "bank?.words"
#: Bits of a partial sum in one memory; the rest lie in a second one. A block RAM with a read and a write port is 36 bits wide.
RF_PART_BITS = 36
#: Name of the Verilog module that is a PE's adder. Where an adder's cells can choose, too, this is the one module to replace.
SUM_MODULE = "squeezelerator_sum"

#: What is added to ``c``: whichever of ``a`` and ``b`` is not zero.
SUM_VERILOG = f"""\
module {SUM_MODULE}(a, b, c, sum);
  parameter WIDTH = 2;
  input [WIDTH-1:0] a;
  input [WIDTH-1:0] b;
  input [WIDTH-1:0] c;
  output [WIDTH-1:0] sum;
  assign sum = (a | b) + c;
endmodule
"""

#: Name of the Verilog module that is a PE's multiplier and the registers in front of and behind it. Where multipliers have registers of
#: their own, this is the one module to replace.
MULTIPLIER_MODULE = "squeezelerator_multiplier"

MULTIPLIER_VERILOG = f"""\
module {MULTIPLIER_MODULE}(clk, load, next, stream, product);
  input clk;
  input load;
  input [15:0] next;
  input [15:0] stream;
  output reg [31:0] product;
  reg [15:0] stationary;
  always @(posedge clk) if (load) stationary <= next;
  always @(posedge clk) product <= $signed(stationary) * $signed(stream);
endmodule
"""

#: Name of the Verilog module that is a register-file bank, or a part of its bits. Where memories are macros, this is one to replace.
BANK_MODULE = "squeezelerator_bank"

#: What is read is zero while ``hide`` is set, which block RAMs do for nothing.
BANK_VERILOG = f"""\
module {BANK_MODULE}(clk, hide, read_addr, entry, write, write_addr, value);
  parameter WIDTH = 2;
  parameter DEPTH = 2;
  parameter ADDRESS = 1;
  input clk;
  input hide;
  input [ADDRESS-1:0] read_addr;
  output reg [WIDTH-1:0] entry;
  input write;
  input [ADDRESS-1:0] write_addr;
  input [WIDTH-1:0] value;
  // No program needs the entry that is read while it is written.
  (* {", ".join(f"{name} = {value}" for name, value in NO_COLLISION_LOGIC.items())} *)
  reg [WIDTH-1:0] words [0:DEPTH-1];
  integer i;
  initial for (i = 0; i < DEPTH; i = i + 1) words[i] = {{WIDTH{{1'b0}}}};
  always @(posedge clk) if (write) words[write_addr] <= value;
  always @(posedge clk) entry <= hide ? {{WIDTH{{1'b0}}}} : words[read_addr];
endmodule
"""


def pe_signature(cfg: MachineConfig) -> dict[str, Member]:
    """Members of a PE. ``row``: the same for a whole array row; ``column``: for a column; ``all``: for every PE; ``PE``: for one.

    - ws (all): 1 weight stationary, 0 output stationary;
    - load_row (row), load_col (column), operand (column): ``next <= operand`` when both are 1;
    - shift (all): ``next <= below`` in rows without ``load_row``; below, following (PE below, PE above): its ``next`` and this one's;
    - swap (row): ``stationary <= next``;
    - stream (row): streaming operand; its product is added two cycles after it was on ``stream``;
    - own0, own1 (all): OS, the bank whose entry is added to; again (all): the sum of the cycle before is added to instead, whose entry
      is only now written; none of them where nothing is accumulated yet, and in WS;
    - addr0, addr1 (all): entry of each bank that is read for the next cycle; hide0, hide1 (PE): zero is read instead;
      write_addr (all): entry written; write0, write1 (row): write enables;
    - sum_in, sum_out (PE above, PE below): WS partial sums; write_data (column): WS sum to be kept;
    - entry0, entry1: contents of the entries addressed a cycle ago, or zero; undefined where they were written in that cycle.
    """
    acc = signed(cfg.acc_bits)
    return {
        "ws": In(1), "load_row": In(1), "load_col": In(1), "operand": In(signed(16)), "swap": In(1),
        "shift": In(1), "below": In(signed(16)), "following": Out(signed(16)),
        "stream": In(signed(16)), "own0": In(1), "own1": In(1), "again": In(1), "addr0": In(range(cfg.rf)), "addr1": In(range(cfg.rf)),
        "hide0": In(1), "hide1": In(1),
        "write_addr": In(range(cfg.rf)), "write0": In(1), "write1": In(1), "sum_in": In(acc), "write_data": In(acc),
        "sum_out": Out(acc), "entry0": Out(acc), "entry1": Out(acc),
    }


class PE(wiring.Component):
    """One PE; see ``pe_signature`` for the ports and docs/architecture.md for what the dataflows put on them.

    Latency: stream to product 1 cycle, product to register file or ``sum_out`` 1 cycle. Throughput: one MAC a cycle.

    Parameters
    ----------
    cfg : MachineConfig
    instance : bool
        True: the multiplier, the adder and the register file are instances of the Verilog modules above; False: expressions and
        memories, for Amaranth's own simulator.
    """

    ws: Signal
    load_row: Signal
    load_col: Signal
    operand: Signal
    swap: Signal
    shift: Signal
    below: Signal
    following: Signal
    stream: Signal
    own0: Signal
    own1: Signal
    again: Signal
    addr0: Signal
    addr1: Signal
    hide0: Signal
    hide1: Signal
    write_addr: Signal
    write0: Signal
    write1: Signal
    sum_in: Signal
    write_data: Signal
    sum_out: Signal
    entry0: Signal
    entry1: Signal

    def __init__(self, *, cfg: MachineConfig, instance: bool = True) -> None:
        self.cfg = check_config("PE", cfg)
        self.instance = check_flag("PE", "instance", instance)
        super().__init__(pe_signature(cfg))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        acc = signed(cfg.acc_bits)

        following = Signal(signed(16), name="next", reset_less=True)
        product = Signal(signed(32), reset_less=True)
        # A shifting row with `load_row` takes the operand in all columns; those without `load_col` get theirs with a later window.
        with m.If((self.load_row & self.load_col) | self.shift):
            m.d.sync += following.eq(Mux(self.load_row, self.operand, self.below))
        m.d.comb += self.following.eq(following)
        if self.instance:
            m.submodules.multiplier = Instance(
                MULTIPLIER_MODULE, i_clk=ClockSignal(), i_load=self.swap, i_next=following, i_stream=self.stream, o_product=product)
        else:
            stationary = Signal(signed(16), reset_less=True)
            with m.If(self.swap):
                m.d.sync += stationary.eq(following)
            m.d.sync += product.eq(stationary * self.stream)

        # No register that only holds data is reset here or around: the reset of so many would be the machine's widest net.
        # What is not added is zero, so that an OR chooses: a sum of its own in OS, the sum from above in WS.
        own = Signal(acc)
        other = Signal(acc)
        total = Signal(acc)
        kept = Signal(acc)
        m.d.comb += [
            own.eq(Mux(self.own0, self.entry0, 0) | Mux(self.own1, self.entry1, 0)),
            other.eq(Mux(self.again, self.sum_out, 0) | Mux(self.ws, self.sum_in, 0)),
            kept.eq(Mux(self.ws, self.write_data, total)),
        ]
        if self.instance:
            widened = Signal(acc)
            m.d.comb += widened.eq(product)
            m.submodules.sum = Instance(SUM_MODULE, p_WIDTH=len(total), i_a=own, i_b=other, i_c=widened, o_sum=total)
        else:
            m.d.comb += total.eq((own | other).as_signed() + product)
        above = Signal(acc, name="sum", reset_less=True)
        m.d.sync += above.eq(total)
        m.d.comb += self.sum_out.eq(above)

        for b, (addr, hide, write, entry) in enumerate(((self.addr0, self.hide0, self.write0, self.entry0),
                                                        (self.addr1, self.hide1, self.write1, self.entry1))):
            parts = []
            for low in range(0, cfg.acc_bits, RF_PART_BITS):
                name = f"bank{b}" + ("_high" if low else "")
                parts.append(self._bank(m, name, addr, hide, write, kept[low : low + RF_PART_BITS]))
            m.d.comb += entry.eq(Cat(parts))
        return m

    def _bank(self, m: Module, name: str, addr: Signal, hide: Signal, write: Signal, value: Value) -> Value:
        """Place a bank's memory for the bits of ``value``; returns what is read of it."""
        depth = self.cfg.rf
        if self.instance:
            entry = Signal(len(value), name=f"{name}_entry")
            m.submodules[name] = Instance(
                BANK_MODULE, p_WIDTH=len(value), p_DEPTH=depth, p_ADDRESS=len(addr), i_clk=ClockSignal(), i_hide=hide, i_read_addr=addr,
                o_entry=entry, i_write=write, i_write_addr=self.write_addr, i_value=value)
            return entry
        bank = m.submodules[name] = memory.Memory(shape=len(value), depth=depth, init=[])
        read, port = bank.read_port(), bank.write_port()
        hidden = Signal(name=f"{name}_hidden")
        m.d.sync += hidden.eq(hide)
        m.d.comb += [read.addr.eq(addr), port.addr.eq(self.write_addr), port.data.eq(value), port.en.eq(write)]
        return Mux(hidden, 0, read.data)
