"""A signal that goes almost everywhere: where a device has networks of their own for such signals, synthesis can use one."""

from amaranth.hdl import Instance, Module, Signal, Value

__all__ = ["BROADCAST_MODULE", "BROADCAST_VERILOG", "broadcast"]

#: Name of the Verilog module between such a signal and its users, to be replaced by a device's buffer.
BROADCAST_MODULE = "squeezelerator_broadcast"

BROADCAST_VERILOG = f"""\
module {BROADCAST_MODULE}(value, everywhere);
  input value;
  output everywhere;
  assign everywhere = value;
endmodule
"""


def broadcast(m: Module, value: Value, name: str) -> Signal:
    """The single bit ``value`` again, without delay, through an instance of ``BROADCAST_MODULE``."""
    everywhere = Signal(name=f"{name}_everywhere")
    m.submodules[f"{name}_broadcast"] = Instance(BROADCAST_MODULE, i_value=value, o_everywhere=everywhere)
    return everywhere
