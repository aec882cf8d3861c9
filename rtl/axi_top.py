"""A top with the names and attributes that integrators of AXI peripherals expect: ``aclk``, ``aresetn``, X_INTERFACE attributes."""

from collections.abc import Iterable
from typing import TypedDict

__all__ = ["AXI_TOP", "BUSES", "Port", "axi_ports", "axi_top"]

#: Name of the module.
AXI_TOP = "squeezelerator_axi"
#: Prefix of a bundle's ports, and its protocol.
BUSES = {"s_axi": "AXI4LITE", "m_axi": "AXI4"}


class Port(TypedDict):
    """A port of a module: ``direction`` is input or output, ``width`` in bits."""

    name: str
    direction: str
    width: int


def _is_trace(name: str) -> bool:
    return name.startswith("trace_")


def axi_ports(ports: Iterable[Port]) -> list[Port]:
    """The ports of the AXI top of a machine with ``ports``."""
    renamed = [Port(name="aclk", direction="input", width=1), Port(name="aresetn", direction="input", width=1)]
    return renamed + [port for port in ports if port["name"] not in ("clk", "rst", "bus_rst") and not _is_trace(port["name"])]


def _attribute(name: str) -> str:
    """The X_INTERFACE attributes of a port."""
    kind = "xilinx.com:signal"
    if name == "aclk":
        return (f'X_INTERFACE_INFO = "{kind}:clock:1.0 aclk CLK", '
                'X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axi:m_axi, ASSOCIATED_RESET aresetn"')
    if name == "aresetn":
        return f'X_INTERFACE_INFO = "{kind}:reset:1.0 aresetn RST", X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW"'
    if name == "irq":
        return f'X_INTERFACE_INFO = "{kind}:interrupt:1.0 irq INTERRUPT", X_INTERFACE_PARAMETER = "SENSITIVITY LEVEL_HIGH"'
    bus = next(bus for bus in BUSES if name.startswith(bus + "_"))
    info = f'X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 {bus} {name[len(bus) + 1 :].upper()}"'
    return info + (f', X_INTERFACE_PARAMETER = "XIL_INTERFACENAME {bus}, PROTOCOL {BUSES[bus]}"' if name == f"{bus}_awaddr" else "")


def axi_top(ports: Iterable[Port]) -> str:
    """Verilog of the AXI top: the machine with both resets on ``aresetn``, through a register, and without its trace ports.

    The reset of an AXI interface resets both of its sides, so that no transaction is open after it; a reset of the machine alone is
    CTRL.reset.
    """
    ports = list(ports)
    outside = axi_ports(ports)
    lines = [f"module {AXI_TOP}("]
    for port in outside:
        width = f"[{port['width'] - 1}:0] " if port["width"] > 1 else ""
        comma = "" if port is outside[-1] else ","
        lines += [f"  (* {_attribute(port['name'])} *)", f"  {port['direction']} wire {width}{port['name']}{comma}"]
    lines += [");", "  reg reset = 1'b1;", "  always @(posedge aclk) reset <= ~aresetn;", "  squeezelerator core (",
              "    .clk(aclk),", "    .rst(reset),", "    .bus_rst(reset),"]
    inside = [f"    .{p['name']}({'' if _is_trace(p['name']) else p['name']})" for p in ports if p["name"] not in ("clk", "rst", "bus_rst")]
    return "\n".join([*lines, ",\n".join(inside), "  );", "endmodule", ""])
