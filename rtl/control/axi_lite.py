"""The AXI4-Lite port of the host: its signals."""

from amaranth.hdl import Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.primitives.parameters import check_range

__all__ = ["AxiLiteInterface", "AxiLiteSignature"]


class AxiLiteInterface(wiring.PureInterface):
    """The interface that an :class:`AxiLiteSignature` creates."""

    awaddr: Signal
    awprot: Signal
    awvalid: Signal
    awready: Signal
    wdata: Signal
    wstrb: Signal
    wvalid: Signal
    wready: Signal
    bresp: Signal
    bvalid: Signal
    bready: Signal
    araddr: Signal
    arprot: Signal
    arvalid: Signal
    arready: Signal
    rdata: Signal
    rresp: Signal
    rvalid: Signal
    rready: Signal


class AxiLiteSignature(wiring.Signature):
    """An AXI4-Lite subordinate as its owner sees it; members named as in the AXI specification.

    Parameters
    ----------
    address_bits : int
        Bits of an address, 1 to 64; data has 32.
    """

    def __init__(self, address_bits: int) -> None:
        check_range("AxiLiteSignature", "address_bits", address_bits, 1, 64)
        self.address_bits = address_bits
        super().__init__({
            "awaddr": In(address_bits), "awprot": In(3), "awvalid": In(1), "awready": Out(1),
            "wdata": In(32), "wstrb": In(4), "wvalid": In(1), "wready": Out(1),
            "bresp": Out(2), "bvalid": Out(1), "bready": In(1),
            "araddr": In(address_bits), "arprot": In(3), "arvalid": In(1), "arready": Out(1),
            "rdata": Out(32), "rresp": Out(2), "rvalid": Out(1), "rready": In(1),
        })

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> AxiLiteInterface:
        """The interface."""
        return AxiLiteInterface(self, path=path, src_loc_at=1 + src_loc_at)
