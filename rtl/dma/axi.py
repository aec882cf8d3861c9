"""The AXI4 master: port bundle, arbitration of the two readers, routing of what comes back."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Member, Out

from squeezelerator.rtl.control.jobs import OPEN_BITS, AxiAttributes
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec.machine import MachineConfig

__all__ = ["ID_FETCH", "ID_LOAD", "AxiMaster", "AxiPort", "AxiSignature", "BurstRequest", "ReadBeat", "ReadBeatPort", "WriteBeat"]

#: AXI IDs of the two readers. Writes use ID 0.
ID_FETCH, ID_LOAD = 0, 1


class AxiPort(wiring.PureInterface):
    """The interface that an :class:`AxiSignature` creates."""

    awid: Signal
    awaddr: Signal
    awlen: Signal
    awsize: Signal
    awburst: Signal
    awlock: Signal
    awcache: Signal
    awprot: Signal
    awqos: Signal
    awvalid: Signal
    awready: Signal
    wdata: Signal
    wstrb: Signal
    wlast: Signal
    wvalid: Signal
    wready: Signal
    bid: Signal
    bresp: Signal
    bvalid: Signal
    bready: Signal
    arid: Signal
    araddr: Signal
    arlen: Signal
    arsize: Signal
    arburst: Signal
    arlock: Signal
    arcache: Signal
    arprot: Signal
    arqos: Signal
    arvalid: Signal
    arready: Signal
    rid: Signal
    rdata: Signal
    rresp: Signal
    rlast: Signal
    rvalid: Signal
    rready: Signal


class AxiSignature(wiring.Signature):
    """An AXI4 manager with 64-bit byte addresses and one ID bit; members named as in the AXI specification.

    Parameters
    ----------
    data_bits : int
        Width of the data, 64, 128 or 256.
    """

    def __init__(self, data_bits: int) -> None:
        self.data_bits = data_bits
        members: dict[str, Member] = {}
        for channel in ("aw", "ar"):
            members |= {f"{channel}{name}": Out(width) for name, width in (
                ("id", 1), ("addr", 64), ("len", 8), ("size", 3), ("burst", 2), ("lock", 1), ("cache", 4), ("prot", 3),
                ("qos", 4), ("valid", 1))}
            members[f"{channel}ready"] = In(1)
        members |= {"wdata": Out(data_bits), "wstrb": Out(data_bits // 8), "wlast": Out(1), "wvalid": Out(1), "wready": In(1)}
        members |= {"bid": In(1), "bresp": In(2), "bvalid": In(1), "bready": Out(1)}
        members |= {"rid": In(1), "rdata": In(data_bits), "rresp": In(2), "rlast": In(1), "rvalid": In(1), "rready": Out(1)}
        super().__init__(members)

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> AxiPort:
        """The interface."""
        return AxiPort(self, path=path, src_loc_at=1 + src_loc_at)


class BurstRequest(data.StructLayout):
    """A burst.

    Members
    -------
    offset : byte offset in the program's memory, a multiple of the bytes of a beat.
    beats : number of beats, 1 to 256.
    """

    def __init__(self) -> None:
        super().__init__({"offset": 32, "beats": 9})


class WriteBeat(data.StructLayout):
    """A beat of a write burst.

    Parameters
    ----------
    data_bits : int
        Width of the bus.

    Members
    -------
    data : the beat, the byte of the lowest address in its lowest bits.
    last : it is the last one of its burst.
    """

    def __init__(self, data_bits: int) -> None:
        super().__init__({"data": data_bits, "last": 1})


class ReadBeatPort(wiring.PureInterface):
    """The interface that a :class:`ReadBeat` creates."""

    valid: Signal
    data: Signal
    last: Signal
    error: Signal


class ReadBeat(wiring.Signature):
    """A beat of a read burst, which the reader must take in the cycle in which it comes.

    Parameters
    ----------
    data_bits : int
        Width of the bus.

    Members
    -------
    valid : there is a beat in this cycle.
    data : the beat, the byte of the lowest address in its lowest bits.
    last : it is the last one of its burst.
    error : the memory reports an error.
    """

    def __init__(self, data_bits: int) -> None:
        self.data_bits = data_bits
        super().__init__({"valid": Out(1), "data": Out(data_bits), "last": Out(1), "error": Out(1)})

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> ReadBeatPort:
        """The interface."""
        return ReadBeatPort(self, path=path, src_loc_at=1 + src_loc_at)


class AxiMaster(wiring.Component):
    """Turns burst requests into AXI transactions and counts those that are open.

    A request accepted in cycle t (``valid`` and ``ready``) is on the bus in t + 1. FETCH goes before LOAD; one read and one write
    request a cycle. Data and responses pass in the cycle in which they come. When ``run`` falls no further request is
    accepted; those already accepted are completed, with their attributes and addresses as they were: whatever the inputs do then.

    It stands in the clock domain of the bus, which a reset of the machine alone does not reach: a transaction cannot be taken back.

    Latency: a request reaches the bus 1 cycle after it is accepted; data and responses pass in their cycle (0 cycles).

    Parameters
    ----------
    cfg : MachineConfig
        The machine; of it ``bus_bits`` (64, 128 or 256).

    Members
    -------
    base : byte address of the program's memory, bits 12 and up.
    attributes : of the requests that are accepted in this cycle, :class:`~rtl.control.jobs.AxiAttributes`.
    run : requests may be accepted.
    fetch, load, store : streams of requests, :class:`BurstRequest`.
    r_fetch, r_load : data read, by reader, :class:`ReadBeat`.
    w : stream of data to write (:class:`WriteBeat`), in the order of the requests; none may be offered that has not been asked for.
    b_valid, b_error : a write burst is complete; with an error.
    reads, writes : number of transactions from the acceptance of the request to the last beat or the response.
    idle : there are none.
    axi : the bus, :class:`AxiSignature`.
    """

    base: Signal
    attributes: data.View
    run: Signal
    fetch: stream.Interface
    load: stream.Interface
    store: stream.Interface
    r_fetch: ReadBeatPort
    r_load: ReadBeatPort
    w: stream.Interface
    b_valid: Signal
    b_error: Signal
    reads: Signal
    writes: Signal
    idle: Signal
    axi: AxiPort

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("AxiMaster", cfg)
        super().__init__({
            "base": In(52),
            "attributes": In(AxiAttributes()),
            "run": In(1),
            "fetch": In(stream.Signature(BurstRequest())),
            "load": In(stream.Signature(BurstRequest())),
            "store": In(stream.Signature(BurstRequest())),
            "r_fetch": Out(ReadBeat(cfg.bus_bits)),
            "r_load": Out(ReadBeat(cfg.bus_bits)),
            "w": In(stream.Signature(WriteBeat(cfg.bus_bits))),
            "b_valid": Out(1),
            "b_error": Out(1),
            "reads": Out(OPEN_BITS), "writes": Out(OPEN_BITS), "idle": Out(1),
            "axi": Out(AxiSignature(cfg.bus_bits)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        size = (self.cfg.bus_bytes - 1).bit_length()
        for channel in ("aw", "ar"):
            m.d.comb += [getattr(axi, channel + "size").eq(size), getattr(axi, channel + "burst").eq(1)]

        def address(request: "data.View[BurstRequest]") -> Value:
            return Cat(request.offset[:12], self.base + request.offset[12:])

        # Read requests: a register that takes FETCH's request or else LOAD's. The register keeps the bus signals stable.
        ar_free = Signal()
        m.d.comb += [
            ar_free.eq(self.run & (~axi.arvalid | axi.arready)),
            self.fetch.ready.eq(ar_free),
            self.load.ready.eq(ar_free & ~self.fetch.valid),
        ]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(ar_free):
            m.d.sync += [axi.arcache.eq(self.attributes.arcache), axi.arprot.eq(self.attributes.prot)]
        for request, number in ((self.load, ID_LOAD), (self.fetch, ID_FETCH)):
            with m.If(request.valid & request.ready):
                m.d.sync += [
                    axi.arvalid.eq(1),
                    axi.arid.eq(number),
                    axi.araddr.eq(address(request.payload)),
                    axi.arlen.eq(request.payload.beats - 1),
                ]

        m.d.comb += self.store.ready.eq(self.run & (~axi.awvalid | axi.awready))
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(self.store.ready):
            m.d.sync += [axi.awcache.eq(self.attributes.awcache), axi.awprot.eq(self.attributes.prot)]
        with m.If(self.store.valid & self.store.ready):
            m.d.sync += [
                axi.awvalid.eq(1),
                axi.awaddr.eq(address(self.store.payload)),
                axi.awlen.eq(self.store.payload.beats - 1),
            ]

        m.d.comb += [
            axi.wvalid.eq(self.w.valid),
            axi.wdata.eq(self.w.payload.data),
            axi.wlast.eq(self.w.payload.last),
            axi.wstrb.eq(Const(-1, self.cfg.bus_bytes)),
            self.w.ready.eq(axi.wready),
            axi.bready.eq(1),
            axi.rready.eq(1),
            self.b_valid.eq(axi.bvalid),
            self.b_error.eq(axi.bresp[1]),
        ]
        for beat, number in ((self.r_fetch, ID_FETCH), (self.r_load, ID_LOAD)):
            m.d.comb += [
                beat.valid.eq(axi.rvalid & (axi.rid == number)),
                beat.data.eq(axi.rdata),
                beat.last.eq(axi.rlast),
                beat.error.eq(axi.rresp[1]),
            ]

        read_starts = (self.fetch.valid & self.fetch.ready) | (self.load.valid & self.load.ready)
        m.d.sync += [
            self.reads.eq(self.reads + read_starts - (axi.rvalid & axi.rlast)),
            self.writes.eq(self.writes + (self.store.valid & self.store.ready) - axi.bvalid),
        ]
        m.d.comb += self.idle.eq((self.reads == 0) & (self.writes == 0))
        return m
