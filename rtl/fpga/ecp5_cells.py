"""Modules of the machine that are better made of an ECP5's cells by hand; they replace those of the same names."""

from squeezelerator.rtl.array.pe import MULTIPLIER_MODULE, SUM_MODULE
from squeezelerator.rtl.array.pe_array import MERGE_MODULE
from squeezelerator.rtl.primitives.broadcast import BROADCAST_MODULE

__all__ = ["CELLS", "MULTIPLIER_CELL"]


def _inputs(port: str, signal: str) -> str:
    """Connections of a multiplier's inputs ``port`` to the 16 bits of ``signal``, below which are two zeros: signs above would be wires."""
    return ", ".join(f".{port}{i}({signal}[{i - 2}])" if i >= 2 else f".{port}{i}(1'b0)" for i in range(18))


#: The adder of a PE: the LUT in front of every carry chooses between two of the three operands, for which there would be another.
#: Four rows of a column: a LUT for each bit, as near to the four as it can be.
#: What goes everywhere: a global buffer. Its net is routed before all others; the mark keeps the router from doing it again, which place
#: and route does not see to out of context. It counts the way to the buffer, but no delay behind it.
CELLS = f"""\
module {SUM_MODULE}(a, b, c, sum);
  parameter WIDTH = 2;
  localparam PAIRS = (WIDTH + 1) / 2;
  input [WIDTH-1:0] a;
  input [WIDTH-1:0] b;
  input [WIDTH-1:0] c;
  output [WIDTH-1:0] sum;
  wire [2*PAIRS-1:0] x = a, y = b, z = c, total;
  wire [PAIRS:0] carry;
  assign carry[0] = 1'b0;
  assign sum = total[WIDTH-1:0];
  genvar i;
  generate for (i = 0; i < PAIRS; i = i + 1) begin: pairs
    // Sum without carry: c ^ (a | b) where D is 1; the low digit says what the carry is where that is 0, c.
    CCU2C #(.INIT0(16'h56AA), .INIT1(16'h56AA), .INJECT1_0("NO"), .INJECT1_1("NO")) bits (
      .CIN(carry[i]), .COUT(carry[i+1]),
      .A0(z[2*i]), .B0(x[2*i]), .C0(y[2*i]), .D0(1'b1), .S0(total[2*i]),
      .A1(z[2*i+1]), .B1(x[2*i+1]), .C1(y[2*i+1]), .D1(1'b1), .S1(total[2*i+1]));
  end endgenerate
endmodule

module {MERGE_MODULE}(value0, value1, value2, value3, merged);
  parameter WIDTH = 2;
  input [WIDTH-1:0] value0;
  input [WIDTH-1:0] value1;
  input [WIDTH-1:0] value2;
  input [WIDTH-1:0] value3;
  output [WIDTH-1:0] merged;
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1) begin: bits
    LUT4 #(.INIT(16'hFFFE)) one (.A(value0[i]), .B(value1[i]), .C(value2[i]), .D(value3[i]), .Z(merged[i]));
  end endgenerate
endmodule

module {BROADCAST_MODULE}(value, everywhere);
  input value;
  (* ECP5_IS_GLOBAL = 1 *)
  output everywhere;
  DCCA buffer (.CLKI(value), .CE(1'b1), .CLKO(everywhere));
endmodule
"""

#: The multiplier of a PE: one of the device's, with registers that it has anyway. Four multipliers share four clock enables, of which the
#: constant is one, so that this is only for multipliers at places where no four rows of the array meet. Place and route takes no notice of
#: the register of one input without the other's and times that input as if it led through the multiplier.
MULTIPLIER_CELL = f"""\
module {MULTIPLIER_MODULE}(clk, load, next, stream, product);
  input clk;
  input load;
  input [15:0] next;
  input [15:0] stream;
  output [31:0] product;
  MULT18X18D #(
    .REG_INPUTA_CLK("CLK0"), .REG_INPUTA_CE("CE0"), .REG_INPUTA_RST("RST0"), .REG_INPUTB_CLK("NONE"), .REG_PIPELINE_CLK("NONE"),
    .REG_OUTPUT_CLK("CLK0"), .REG_OUTPUT_CE("CE1"), .REG_OUTPUT_RST("RST0"), .GSR("DISABLED"), .RESETMODE("SYNC")) mult (
      .CLK0(clk), .CE0(load), .CE1(1'b1), .RST0(1'b0), .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),
      {_inputs("A", "next")},
      {_inputs("B", "stream")},
      {", ".join(f".P{i + 4}(product[{i}])" for i in range(32))});
endmodule
"""
