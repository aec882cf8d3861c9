"""Cuts a block of lines into AXI bursts."""

from amaranth.hdl import Cat, Module, Mux, Signal
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
    enable : a request may be made in this cycle.
    request : the bursts. ``valid`` falls with ``enable``.
    final : the burst that is asked for is the block's last.
    busy : bursts remain to be asked for.
    fault : the next burst is not acceptable; ``request.payload.offset`` is its offset.
    """

    def __init__(self, cfg, *, max_beats, beats_width):
        self.cfg = cfg
        self.max_beats = max_beats
        super().__init__({
            "start": In(1), "offset": In(32), "line_beats": In(beats_width), "lines": In(16), "pitch": In(32), "limit": In(32),
            "enable": In(1),
            "request": Out(stream.Signature(BurstRequest())),
            "final": Out(1), "busy": Out(1), "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        shift = (self.cfg.bus_bytes - 1).bit_length()
        page_beats = PAGE_BYTES // self.cfg.bus_bytes
        offset, line_offset, pitch = Signal(32), Signal(32), Signal(32)
        left, line_beats, lines = Signal.like(self.line_beats), Signal.like(self.line_beats), Signal(16)

        page_left = Signal(range(page_beats + 1))
        at_most = Signal(range(page_beats + 1))
        beats = Signal(range(page_beats + 1))
        line_ends = Signal()
        m.d.comb += [
            page_left.eq(page_beats - offset[shift:12]),
            at_most.eq(Mux(page_left < self.max_beats, page_left, self.max_beats)),
            line_ends.eq(left <= at_most),
            beats.eq(Mux(line_ends, left, at_most)),
            self.final.eq(line_ends & (lines == 1)),
        ]
        end = Signal(33)
        m.d.comb += [
            end.eq(offset + (beats << shift)),
            self.fault.eq(self.busy & ((end > self.limit) | offset[:shift].any())),
            self.request.valid.eq(self.busy & self.enable & ~self.fault),
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
            ]
        with m.Elif(self.request.valid & self.request.ready):
            m.d.sync += [offset.eq(end), left.eq(left - beats)]
            with m.If(line_ends):
                m.d.sync += [
                    offset.eq(line_offset + pitch),
                    line_offset.eq(line_offset + pitch),
                    left.eq(line_beats),
                    lines.eq(lines - 1),
                    self.busy.eq(~self.final),
                ]
        return m
