"""The memories of the global buffer: one Verilog module, placed once for every bank."""

from amaranth.hdl import ClockSignal, Instance, Module, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.buffer.ports import NO_COLLISION_LOGIC
from squeezelerator.rtl.primitives.parameters import check_range

__all__ = ["BUFFER_MEMORY_MODULE", "BUFFER_MEMORY_VERILOG", "BufferMemory", "place_memory"]

#: Name of the Verilog module. Where memories are macros, this is the one module to replace.
BUFFER_MEMORY_MODULE = "squeezelerator_memory"

#: Written by hand: hundreds of memories converted one by one, each with a line for every word that begins as zero, would
#: take most of the time and of the text of the whole machine. The contents begin as zero because lanes that nothing has
#: written are multiplied by zero weights, which a simulator with unknown values would carry on as unknown.
BUFFER_MEMORY_VERILOG = f"""\
module {BUFFER_MEMORY_MODULE}(clk, rd_en, rd_addr, rd_data, wr_en, wr_addr, wr_data);
  parameter WIDTH = 16;
  parameter DEPTH = 2;
  parameter ADDRESS = 1;
  input clk;
  input rd_en;
  input [ADDRESS-1:0] rd_addr;
  output reg [WIDTH-1:0] rd_data;
  input wr_en;
  input [ADDRESS-1:0] wr_addr;
  input [WIDTH-1:0] wr_data;
  // No program needs the word that is read while it is written.
  (* {", ".join(f"{name} = {value}" for name, value in NO_COLLISION_LOGIC.items())} *)
  reg [WIDTH-1:0] words [0:DEPTH-1];
  integer i;
  initial for (i = 0; i < DEPTH; i = i + 1) words[i] = {{WIDTH{{1'b0}}}};
  always @(posedge clk) if (wr_en) words[wr_addr] <= wr_data;
  always @(posedge clk) if (rd_en) rd_data <= words[rd_addr];
endmodule
"""


def address_bits(depth: int) -> int:
    """Bits of an address, at least one: Verilog has no ports without bits."""
    return max(1, (depth - 1).bit_length())


class BufferMemory(wiring.Component):
    """``depth`` words of ``width`` bits with one read and one write port.

    Latency: ``rd_data`` one cycle after ``rd_en``, kept until the next read. A read sees every write of an earlier cycle; what it gets of a
    word written in the same cycle is undefined (in simulation: the old word). Throughput: a read and a write a cycle.
    """

    rd_en: Signal
    rd_addr: Signal
    rd_data: Signal
    wr_en: Signal
    wr_addr: Signal
    wr_data: Signal

    def __init__(self, *, width: int, depth: int) -> None:
        self._width = check_range("BufferMemory", "width", width, 1, 4096)
        self._depth = check_range("BufferMemory", "depth", depth, 1, 65536)
        address = address_bits(depth)
        super().__init__({
            "rd_en": In(1), "rd_addr": In(address), "rd_data": Out(width),
            "wr_en": In(1), "wr_addr": In(address), "wr_data": In(width),
        })

    def elaborate(self, platform: object) -> Module:
        words = memory.Memory(shape=self._width, depth=self._depth, init=[],
            attrs=NO_COLLISION_LOGIC)  # pyright: ignore[reportArgumentType, reportCallIssue] - the stubs know strings only
        rd, wr = words.read_port(), words.write_port()
        m = Module()
        m.submodules.words = words
        m.d.comb += [
            rd.en.eq(self.rd_en), rd.addr.eq(self.rd_addr), self.rd_data.eq(rd.data),
            wr.en.eq(self.wr_en), wr.addr.eq(self.wr_addr), wr.data.eq(self.wr_data),
        ]
        return m


def place_memory(m: Module, name: str, width: int, depth: int, *, instance: bool, **inputs: Value) -> Value:
    """Place a memory called ``name`` in ``m``, fed by ``inputs``; returns its ``rd_data``.

    ``instance`` True: an instance of the Verilog module; False: a BufferMemory, for Amaranth's own simulator.
    """
    if not instance:
        bank = m.submodules[name] = BufferMemory(width=width, depth=depth)
        m.d.comb += [getattr(bank, port).eq(value) for port, value in inputs.items()]
        return bank.rd_data
    rd_data = Signal(width, name=f"{name}_data")
    widths = {"en": 1, "addr": address_bits(depth), "data": width}
    ports = {}
    for port, value in inputs.items():
        # A port is as wide as it is declared, whatever drives it.
        signal = ports[f"i_{port}"] = Signal(widths[port[3:]], name=f"{name}_{port}")
        m.d.comb += signal.eq(value)
    m.submodules[name] = Instance(
        BUFFER_MEMORY_MODULE, p_WIDTH=width, p_DEPTH=depth, p_ADDRESS=widths["addr"], i_clk=ClockSignal(), o_rd_data=rd_data, **ports)
    return rd_data
