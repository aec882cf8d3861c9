"""The machine as an IP-XACT component (IEEE 1685-2009): ports, bus interfaces and the memory map of the registers.

What ``component.xml`` says is taken from the tables and the ports, so that it cannot differ from the Verilog beside it.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable

from squeezelerator.rtl.axi_top import BUSES, Port
from squeezelerator.spec.registers import ADDRESS_BITS, COUNTERS, REGISTERS, counter_offset

__all__ = ["NAMESPACE", "component_xml"]

NAMESPACE = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
VENDOR, LIBRARY, VERSION = "squeezelerator", "accelerators", "1.0"
ACCESS = {"ro": "read-only", "wo": "write-only", "rw": "read-write", "w1c": "read-write"}


def _add(parent: ET.Element, name: str, text: str | int | None = None, /, **attributes: str) -> ET.Element:
    """A new element below ``parent``, with ``text`` and attributes of the IP-XACT name space."""
    element = ET.SubElement(parent, f"{{{NAMESPACE}}}{name}", {f"{{{NAMESPACE}}}{key}": value for key, value in attributes.items()})
    if text is not None:
        element.text = str(text)
    return element


def _identity(parent: ET.Element, tag: str, vendor: str, library: str, name: str) -> None:
    _add(parent, tag, vendor=vendor, library=library, name=name, version="1.0")


def _interface(parent: ET.Element, name: str, mode: str, bus: tuple[str, str, str], ports: dict[str, str]) -> ET.Element:
    """A bus interface ``name`` of type ``bus`` whose logical ports are the physical ones in ``ports``; returns the element of its mode."""
    vendor, library, kind = bus
    interface = _add(parent, "busInterface")
    _add(interface, "name", name)
    _identity(interface, "busType", vendor, library, kind)
    _identity(interface, "abstractionType", vendor, library, kind + "_rtl")
    element = _add(interface, mode)
    maps = _add(interface, "portMaps")
    for logical, physical in ports.items():
        entry = _add(maps, "portMap")
        _add(_add(entry, "logicalPort"), "name", logical)
        _add(_add(entry, "physicalPort"), "name", physical)
    return element


def _register(parent: ET.Element, name: str, offset: int, size: int, access: str, doc: str) -> ET.Element:
    register = _add(parent, "register")
    _add(register, "name", name)
    _add(register, "description", doc)
    _add(register, "addressOffset", f"0x{offset:03X}")
    _add(register, "size", size)
    _add(register, "access", access)
    return register


def _registers(component: ET.Element) -> None:
    """The memory map."""
    memory_map = _add(_add(component, "memoryMaps"), "memoryMap")
    _add(memory_map, "name", "s_axi")
    block = _add(memory_map, "addressBlock")
    _add(block, "name", "registers")
    _add(block, "baseAddress", "0x0")
    _add(block, "range", 1 << ADDRESS_BITS)
    _add(block, "width", 32)
    _add(block, "usage", "register")
    for r in REGISTERS:
        register = _register(block, r.name, r.offset, 32, ACCESS[r.access], r.doc)
        for f in r.fields:
            field = _add(register, "field")
            _add(field, "name", f.name)
            _add(field, "description", f.doc)
            _add(field, "bitOffset", f.lsb)
            _add(field, "bitWidth", f.width)
            _add(field, "access", ACCESS[r.access])
            if r.access == "w1c":
                _add(field, "modifiedWriteValue", "oneToClear")
    for c in COUNTERS:
        for half, offset in (("LO", 0), ("HI", 4)):
            _register(block, f"COUNTER_{c.name.upper()}_{half}", counter_offset(c.name) + offset, 32, "read-only", c.doc)


def component_xml(module: str, ports: Iterable[Port], verilog: str) -> str:
    """The component as XML text.

    Parameters
    ----------
    module : str
        Name of the AXI top.
    ports : iterable of Port
        Its ports.
    verilog : str
        Name of the file with the Verilog, beside ``component.xml``.
    """
    ET.register_namespace("spirit", NAMESPACE)
    ports = list(ports)
    component = ET.Element(f"{{{NAMESPACE}}}component")
    for tag, text in (("vendor", VENDOR), ("library", LIBRARY), ("name", module), ("version", VERSION)):
        _add(component, tag, text)
    interfaces = _add(component, "busInterfaces")
    for bus in BUSES:
        mapped = {port["name"][len(bus) + 1 :].upper(): port["name"] for port in ports if port["name"].startswith(bus + "_")}
        mode = "slave" if bus == "s_axi" else "master"
        element = _interface(interfaces, bus, mode, ("xilinx.com", "interface", "aximm"), mapped)
        if mode == "slave":
            _add(element, "memoryMapRef", memoryMapRef=bus)
        else:
            _add(element, "addressSpaceRef", addressSpaceRef=bus)
    for name, kind, mode, logical in (("aclk", "clock", "slave", "CLK"), ("aresetn", "reset", "slave", "RST"),
                                      ("irq", "interrupt", "master", "INTERRUPT")):
        _interface(interfaces, name, mode, ("xilinx.com", "signal", kind), {logical: name})
    space = _add(_add(component, "addressSpaces"), "addressSpace")
    _add(space, "name", "m_axi")
    _add(space, "range", str(1 << 64))
    _add(space, "width", next(port["width"] for port in ports if port["name"] == "m_axi_wdata"))
    _registers(component)
    model = _add(component, "model")
    view = _add(_add(model, "views"), "view")
    _add(view, "name", "verilog")
    _add(view, "envIdentifier", ":vivado.xilinx.com:synthesis")
    _add(view, "language", "verilog")
    _add(view, "modelName", module)
    _add(_add(view, "fileSetRef"), "localName", "sources")
    listing = _add(model, "ports")
    for port in ports:
        element = _add(listing, "port")
        _add(element, "name", port["name"])
        wire = _add(element, "wire")
        _add(wire, "direction", {"input": "in", "output": "out"}[port["direction"]])
        if port["width"] > 1:
            vector = _add(wire, "vector")
            _add(vector, "left", port["width"] - 1)
            _add(vector, "right", 0)
    files = _add(_add(component, "fileSets"), "fileSet")
    _add(files, "name", "sources")
    file = _add(files, "file")
    _add(file, "name", verilog)
    _add(file, "fileType", "verilogSource")
    _add(component, "description", "CNN accelerator: N x N PEs, AXI4 memory port, AXI4-Lite registers")
    ET.indent(component)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(component, encoding="unicode") + "\n"
