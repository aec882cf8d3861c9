"""Cuts a block of lines into AXI bursts."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import BurstRequest
from .dma_params import PAGE_BYTES

__all__ = ["BurstGenerator"]


class BurstGenerator(wiring.Component):
    """Walks ``lines`` lines of ``line_beats`` beats and asks for bursts.

    A ``start`` in cycle t brings the first request in t + 1; a request accepted in cycle t, the next one in t + 1. A burst ends at
    ``max_beats``, at a 4 KiB boundary or at the end of the line. A burst that is not aligned or goes beyond ``limit``
    is not asked for: ``fault`` stays high instead.

    Parameters
    ----------
    cfg : MachineConfig
    max_beats : int
        Longest burst.
    beats_width : int
        Bits of ``line_beats``.

    Members
    -------
    start : begin, with the parameters below; only while not ``busy``.
    offset, line_beats, lines, pitch : byte offset of the first line, beats a line, lines, bytes from line to line.
    limit : bytes of the program's memory.
    enable, space : a request of at most ``space`` beats may be made in this cycle.
    request : the bursts. ``valid`` falls with ``enable``.
    final : the burst that is asked for is the block's last.
    busy : bursts remain to be asked for.
    fault : since the cycle before, the next burst is not acceptable; ``request.payload.offset`` is its offset.
    """

    def __init__(self, cfg, *, max_beats, beats_width):
        self.cfg = cfg
        self.max_beats = max_beats
        super().__init__({
            "start": In(1), "offset": In(32), "line_beats": In(beats_width), "lines": In(16), "pitch": In(32), "limit": In(32),
            "enable": In(1), "space": In(range(max_beats + 1), init=max_beats),
            "request": Out(stream.Signature(BurstRequest())),
            "final": Out(1), "busy": Out(1), "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        shift = (self.cfg.bus_bytes - 1).bit_length()
        page_beats = PAGE_BYTES // self.cfg.bus_bytes
        offset, line_offset, pitch = Signal(32), Signal(32), Signal(32)
        left, line_beats, lines = Signal.like(self.line_beats), Signal.like(self.line_beats), Signal(16)

        # What depends on the offset alone is kept beside it: beats to the next page, cut to the longest burst, and beats to
        # the limit. So a request, and with it all that waits for one, is only a few comparisons of registers away.
        at_most = Signal(range(self.max_beats + 1))
        room = Signal(signed(33 - shift))
        beats = Signal.like(at_most)
        line_ends = Signal()
        m.d.comb += [
            line_ends.eq(left <= at_most),
            beats.eq(Mux(line_ends, left, at_most)),
            self.final.eq(line_ends & (lines == 1)),
        ]

        def page_left(offset):
            place = offset[shift:12]
            return Mux(place > page_beats - self.max_beats, page_beats - place, self.max_beats)

        def limit_left(offset):
            return (self.limit - offset) >> shift

        # The next offset, in this line or in the next one.
        end, line = Signal(32), Signal(32)
        bad = Signal()
        # The fewer of `left` and `at_most` fit where either fits.
        left_fits, most_fits = left <= self.space, at_most <= self.space
        m.d.sync += self.fault.eq(bad)
        m.d.comb += [
            end.eq(offset + (beats << shift)),
            line.eq(line_offset + pitch),
            bad.eq(self.busy & (((left > room) & (at_most > room)) | offset[:shift].any())),
            self.request.valid.eq(self.busy & self.enable & (left_fits | most_fits) & ~bad),
            self.request.payload.offset.eq(offset),
            self.request.payload.beats.eq(beats),
        ]
        with m.If(self.start):
            m.d.sync += [
                self.busy.eq(1),
                Cat(offset, line_offset).eq(Cat(self.offset, self.offset)),
                Cat(left, line_beats).eq(Cat(self.line_beats, self.line_beats)),
                lines.eq(self.lines),
                pitch.eq(self.pitch),
                at_most.eq(page_left(self.offset)),
                room.eq(limit_left(self.offset)),
            ]
        with m.Elif(self.request.valid & self.request.ready):
            m.d.sync += [offset.eq(end), left.eq(left - beats), at_most.eq(page_left(end)), room.eq(room - beats)]
            with m.If(line_ends):
                m.d.sync += [
                    offset.eq(line), line_offset.eq(line), at_most.eq(page_left(line)), room.eq(limit_left(line)),
                    left.eq(line_beats),
                    lines.eq(lines - 1),
                    self.busy.eq(~self.final),
                ]
        return m
