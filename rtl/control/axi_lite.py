"""The AXI4-Lite port of the host: its signals."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AxiLiteSignature"]


class AxiLiteSignature(wiring.Signature):
    """An AXI4-Lite subordinate as its owner sees it: 32 bits of data, ``address_bits`` of address."""

    def __init__(self, address_bits):
        self.address_bits = address_bits
        super().__init__({
            "awaddr": In(address_bits), "awprot": In(3), "awvalid": In(1), "awready": Out(1),
            "wdata": In(32), "wstrb": In(4), "wvalid": In(1), "wready": Out(1),
            "bresp": Out(2), "bvalid": Out(1), "bready": In(1),
            "araddr": In(address_bits), "arprot": In(3), "arvalid": In(1), "arready": Out(1),
            "rdata": Out(32), "rresp": Out(2), "rvalid": Out(1), "rready": In(1),
        })
