"""Cuts a block of lines into AXI bursts."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.hdl._ast import Assign
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.dma.axi import BurstRequest
from squeezelerator.rtl.primitives.parameters import check_config, check_range
from squeezelerator.spec.constants.dma import PAGE_BYTES
from squeezelerator.spec.machine import MachineConfig

__all__ = ["BurstGenerator"]


class BurstGenerator(wiring.Component):
    """Walks ``lines`` lines of ``line_beats`` beats and asks for bursts.

    A ``start`` in cycle t brings the first request in t + 1; a request accepted in cycle t, the next one in t + 1. A burst ends at
    ``max_beats``, at a 4 KiB boundary or at the end of the line. A burst that is not aligned or goes beyond ``limit``
    is not asked for: ``fault`` stays high instead.

    Parameters
    ----------
    cfg : MachineConfig
        The machine; of it the bytes of a beat.
    max_beats : int
        Longest burst in beats, 1 to 256.
    beats_width : int
        Bits of ``line_beats``, 1 to 32.

    Members
    -------
    start : begin, with the parameters below; only while not ``busy``.
    any : 0: there is nothing to be asked for, ``start`` does not make it ``busy``.
    offset : byte offset of the first line in the program's memory.
    line_beats : beats of a line, at least 1.
    lines : number of lines, at least 1.
    pitch : bytes from the beginning of a line to that of the next one, modulo 2**32.
    limit : bytes of the program's memory; constant while ``busy``.
    enable, space : a request of at most ``space`` beats may be made in this cycle.
    request : stream of the bursts, :class:`~rtl.dma.axi.BurstRequest`. ``valid`` falls with ``enable``.
    final : the burst that is asked for is the block's last.
    busy : bursts remain to be asked for.
    fault : since the cycle before, the next burst is not acceptable; ``request.payload.offset`` is its offset.
    """

    start: Signal
    any: Signal
    offset: Signal
    line_beats: Signal
    lines: Signal
    pitch: Signal
    limit: Signal
    enable: Signal
    space: Signal
    request: stream.Interface
    final: Signal
    busy: Signal
    fault: Signal

    def __init__(self, *, cfg: MachineConfig, max_beats: int, beats_width: int) -> None:
        self.cfg = check_config("BurstGenerator", cfg)
        self.max_beats = check_range("BurstGenerator", "max_beats", max_beats, 1, 256)
        check_range("BurstGenerator", "beats_width", beats_width, 1, 32)
        super().__init__({
            "start": In(1),
            "any": In(1, init=1),  # pyright: ignore[reportCallIssue] - the stubs have its old name
            "offset": In(32), "line_beats": In(beats_width), "lines": In(16), "pitch": In(32), "limit": In(32),
            "enable": In(1),
            "space": In(range(max_beats + 1), init=max_beats),  # pyright: ignore[reportCallIssue] - the stubs have its old name
            "request": Out(stream.Signature(BurstRequest())),
            "final": Out(1), "busy": Out(1), "fault": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift = (self.cfg.bus_bytes - 1).bit_length()
        page_beats = PAGE_BYTES // self.cfg.bus_bytes
        offset = Signal(32)
        line_offset = Signal(32)
        pitch = Signal(32)
        left = Signal.like(self.line_beats)
        line_beats = Signal.like(self.line_beats)
        lines = Signal(16)

        # The next burst is known when the one before is asked for: its length, whether it ends the line, and beats from its beginning
        # to the limit. So a request, and with it all that waits for one, is only a short comparison of registers away.
        room = Signal(signed(33 - shift))
        beats = Signal(range(self.max_beats + 1))
        line_ends = Signal()
        m.d.comb += self.final.eq(line_ends & (lines == 1))

        def page_left(offset: Value) -> Value:
            place = offset[shift:12]
            return Mux(place > page_beats - self.max_beats, page_beats - place, self.max_beats)

        def limit_left(offset: Value) -> Value:
            return (self.limit - offset) >> shift

        def cut(left: Value, offset: Value) -> list[Assign]:
            most = page_left(offset)
            ends = left <= most
            return [line_ends.eq(ends), beats.eq(Mux(ends, left, most))]

        # The next offset, in this line or in the next one.
        end = Signal(32)
        line = Signal(32)
        bad = Signal()
        m.d.sync += self.fault.eq(bad)
        m.d.comb += [
            end.eq(offset + (beats << shift)),
            line.eq(line_offset + pitch),
            bad.eq(self.busy & ((beats > room) | offset[:shift].any())),
            self.request.valid.eq(self.busy & self.enable & (beats <= self.space) & ~bad),
            self.request.payload.offset.eq(offset),
            self.request.payload.beats.eq(beats),
        ]
        with m.If(self.start):
            m.d.sync += [
                self.busy.eq(self.any),
                Cat(offset, line_offset).eq(Cat(self.offset, self.offset)),
                Cat(left, line_beats).eq(Cat(self.line_beats, self.line_beats)),
                lines.eq(self.lines),
                pitch.eq(self.pitch),
                *cut(self.line_beats, self.offset),
                room.eq(limit_left(self.offset)),
            ]
        with m.Elif(self.request.valid & self.request.ready):
            rest = Signal.like(left)
            m.d.comb += rest.eq(left - beats)
            m.d.sync += [offset.eq(end), left.eq(rest), *cut(rest, end), room.eq(room - beats)]
            with m.If(line_ends):
                m.d.sync += [
                    offset.eq(line), line_offset.eq(line), *cut(line_beats, line), room.eq(limit_left(line)),
                    left.eq(line_beats),
                    lines.eq(lines - 1),
                    self.busy.eq(~self.final),
                ]
        return m
