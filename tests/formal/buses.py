"""Properties of the units that touch AXI: requests, counts, handshakes."""

import types

from amaranth.hdl import Assert, Assume, Cat, Const, Module, Signal, Value
from formal.prover import opened

from squeezelerator.spec.constants.dma import PAGE_BYTES
from squeezelerator.spec.machine import MachineConfig

__all__ = ["axi_master", "bursts", "register_port"]

CFG = MachineConfig(n=2, bus_bits=64, burst_beats=16)


def free_like(m: Module, target: Value, name: str, free: list[Signal]) -> Signal:
    """A free signal connected to the input ``target``."""
    signal = Signal(Value.cast(target).shape(), name=name)
    m.d.comb += Value.cast(target).eq(signal)
    free.append(signal)
    return signal


def held(m: Module, valid: Value, ready: Value, payload: Value, name: str) -> None:
    """Once ``valid`` it stays so, with the same payload, until ``ready``."""
    waits, before = Signal(name=f"{name}_waits"), Signal(len(payload), name=f"{name}_before")
    m.d.sync += [waits.eq(valid & ~ready), before.eq(payload)]
    with m.If(waits):
        m.d.comb += [Assert(valid), Assert(payload == before)]


def axi_master(module: types.ModuleType) -> tuple[Module, list[Signal]]:
    """Requests stay on the bus until they are accepted, whatever the machine does; the counts of open transactions are exact; nothing is
    accepted while the machine does not run; FETCH goes before LOAD.

    The memory answers what it has been asked for, no more.
    """
    m = Module()
    m.submodules.dut = dut = module.AxiMaster(cfg=CFG)
    axi = dut.axi
    free: list[Signal] = []
    for name in ("base", "attributes", "run"):
        free_like(m, getattr(dut, name), name, free)
    for name in ("fetch", "load", "store"):
        port = getattr(dut, name)
        free_like(m, port.valid, f"{name}_valid", free)
        free_like(m, port.payload, f"{name}_payload", free)
    for name in ("arready", "awready", "wready", "bvalid", "rvalid", "rlast", "rid"):
        free_like(m, getattr(axi, name), name, free)
    held(m, axi.arvalid, axi.arready, Cat(axi.araddr, axi.arlen, axi.arid, axi.arcache, axi.arprot), "ar")
    held(m, axi.awvalid, axi.awready, Cat(axi.awaddr, axi.awlen, axi.awcache, axi.awprot), "aw")

    # Transactions as somebody on the bus counts them: accepted there and not answered.
    for channel, count, answered, starts in (
        ("ar", dut.reads, axi.rvalid & axi.rlast, dut.fetch.valid & dut.fetch.ready | dut.load.valid & dut.load.ready),
        ("aw", dut.writes, axi.bvalid, dut.store.valid & dut.store.ready),
    ):
        valid, ready = getattr(axi, channel + "valid"), getattr(axi, channel + "ready")
        seen = Signal(6, name=f"{channel}_seen")
        m.d.sync += seen.eq(seen + (valid & ready) - answered)
        m.d.comb += [
            Assume(~answered | (seen != 0)), Assume(~starts | (count < 40)),
            Assert(count == seen + valid), Assert(count <= 40),
        ]
    m.d.comb += [
        Assert(dut.idle == ((dut.reads == 0) & (dut.writes == 0))),
        Assert(dut.run | ~(dut.fetch.ready | dut.load.ready | dut.store.ready)),
        Assert(~(dut.fetch.valid & dut.load.ready)),
        Assert(dut.r_fetch.valid == (axi.rvalid & (axi.rid == 0))), Assert(dut.r_load.valid == (axi.rvalid & (axi.rid == 1))),
        Assert(axi.rready & axi.bready),
    ]
    return m, free


def bursts(module: types.ModuleType) -> tuple[Module, list[Signal]]:
    """No burst crosses 4 KiB, is longer than allowed, leaves the memory or is not aligned; and all bursts together are the lines that were
    asked for."""
    m = Module()
    dut = module.BurstGenerator(cfg=CFG, max_beats=CFG.burst_beats, beats_width=8)
    m.submodules.dut, inside = opened(dut)
    free: list[Signal] = []
    start = free_like(m, dut.start, "start", free)
    offset, line_beats = free_like(m, dut.offset, "offset", free), free_like(m, dut.line_beats, "line_beats", free)
    lines, pitch = free_like(m, dut.lines, "lines", free), free_like(m, dut.pitch, "pitch", free)
    free_like(m, dut.request.ready, "ready", free)
    limit, kept = free_like(m, dut.limit, "limit", free), Signal(32)
    m.d.comb += [
        dut.any.eq(1), dut.enable.eq(1), dut.space.eq(CFG.burst_beats),
        Assume(~start | ~dut.busy), Assume((line_beats != 0) & (lines != 0)), Assume(~dut.busy | (limit == kept)),
    ]
    request = dut.request
    asked = request.valid & request.ready
    beats, place = request.payload.beats, request.payload.offset
    # Where the next burst must begin, and how much of the line is left.
    next_place, left, lines_left, line_place = Signal(32), Signal(8), Signal(16), Signal(32)
    kept_beats, kept_pitch = Signal(8), Signal(32)
    ends = Signal()
    m.d.comb += ends.eq(beats == left)
    with m.If(start):
        m.d.sync += [next_place.eq(offset), line_place.eq(offset), left.eq(line_beats), kept_beats.eq(line_beats), lines_left.eq(lines),
                     kept_pitch.eq(pitch), kept.eq(limit)]
    with m.Elif(asked):
        m.d.sync += [next_place.eq(next_place + (beats << 3)), left.eq(left - beats)]
        with m.If(ends):
            m.d.sync += [next_place.eq(line_place + kept_pitch), line_place.eq(line_place + kept_pitch), left.eq(kept_beats),
                         lines_left.eq(lines_left - 1)]
    with m.If(dut.busy):
        m.d.comb += [
            Assert(place == next_place), Assert((beats >= 1) & (beats <= left) & (beats <= CFG.burst_beats)),
            Assert((place[3:12] << 3) + (beats << 3) <= PAGE_BYTES),
            # No burst is cut short for another reason.
            Assert(ends | (beats == CFG.burst_beats) | ((place[3:12] << 3) + (beats << 3) == PAGE_BYTES)),
            Assert(dut.final == (ends & (lines_left == 1))), Assert(left <= kept_beats), Assert((left != 0) & (lines_left != 0)),
        ]
    # What the unit remembers is what it has been told.
    with m.If(dut.busy):
        m.d.comb += [
            Assert(inside["left"] == left), Assert(inside["lines"] == lines_left), Assert(inside["line_offset"] == line_place),
            Assert(inside["line_beats"] == kept_beats), Assert(inside["pitch"] == kept_pitch), Assert(inside["line_ends"] == ends),
            Assert(inside["room"] == (kept - place).as_signed() >> 3),
        ]
    with m.If(request.valid):
        m.d.comb += [Assert(place[:3] == 0), Assert(Cat(place, Const(0, 1)) + (beats << 3) <= kept)]
    return m, free


def register_port(module: types.ModuleType) -> tuple[Module, list[Signal]]:
    """Every write and every read that is accepted gets exactly one answer, which stays until it is taken; data and address of a write that
    is carried out are those that were accepted."""
    m = Module()
    dut = module.LitePort()
    m.submodules.dut, inside = opened(dut)
    bus = dut.bus
    free: list[Signal] = []
    inputs = ("awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arvalid", "rready")
    for name in inputs:
        free_like(m, getattr(bus, name), name, free)
    for name in ("write_error", "read_data", "read_error"):
        free_like(m, getattr(dut, name), name, free)
    held(m, bus.bvalid, bus.bready, bus.bresp, "b")
    held(m, bus.rvalid, bus.rready, Cat(bus.rdata, bus.rresp), "r")
    addresses, words, reads = Signal(2), Signal(2), Signal(2)
    answered, read_answered = bus.bvalid & bus.bready, bus.rvalid & bus.rready
    took_address, took_word, took_read = bus.awvalid & bus.awready, bus.wvalid & bus.wready, bus.arvalid & bus.arready
    address, word = Signal(12), Signal(36)
    with m.If(took_address):
        m.d.sync += address.eq(bus.awaddr)
    with m.If(took_word):
        m.d.sync += word.eq(Cat(bus.wdata, bus.wstrb))
    m.d.sync += [
        addresses.eq(addresses + took_address - answered), words.eq(words + took_word - answered),
        reads.eq(reads + took_read - read_answered),
    ]
    m.d.comb += [
        Assert(addresses <= 1), Assert(words <= 1), Assert(reads <= 1),
        Assert(bus.awready == (addresses == 0)), Assert(bus.wready == (words == 0)), Assert(bus.arready == (reads == 0)),
        Assert(~bus.bvalid | ((addresses == 1) & (words == 1))), Assert(~bus.rvalid | (reads == 1)),
        # An answer or the access itself is due as soon as both halves are there.
        Assert(((addresses == 1) & (words == 1)) == (bus.bvalid | dut.write)),
        Assert(~((inside["have_address"] | inside["have_word"]) & bus.bvalid)), Assert(~(inside["pending"] & bus.rvalid)),
        Assert(~inside["have_address"] | (dut.write_address == address)),
        Assert(~inside["have_word"] | (Cat(dut.word, dut.strobe) == word)),
        Assert(dut.write == (inside["have_address"] & inside["have_word"])),
    ]
    return m, free
