"""Cuts a block of lines into AXI bursts."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.hdl._ast import Assign
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.dma.axi import BurstRequest
from squeezelerator.rtl.primitives.parameters import check_config, check_flag, check_range
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
    single : bool
        Blocks of one line only: without ``lines`` and ``pitch``.

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

    def __init__(self, *, cfg: MachineConfig, max_beats: int, beats_width: int, single: bool = False) -> None:
        self.cfg = check_config("BurstGenerator", cfg)
        self.max_beats = check_range("BurstGenerator", "max_beats", max_beats, 1, 256)
        check_range("BurstGenerator", "beats_width", beats_width, 1, 32)
        self.single = check_flag("BurstGenerator", "single", single)
        super().__init__({
            "start": In(1),
            "any": In(1, init=1),  # pyright: ignore[reportCallIssue] - the stubs have its old name
            "offset": In(32), "line_beats": In(beats_width), "limit": In(32),
            **({} if single else {"lines": In(16), "pitch": In(32)}),
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
        left = Signal.like(self.line_beats)

        # The next burst is known when the one before is asked for: its length, whether it ends the line, and beats from its beginning
        # to the limit. So a request, and with it all that waits for one, is only a short comparison of registers away.
        room = Signal(signed(33 - shift))
        beats = Signal(range(self.max_beats + 1))
        line_ends = Signal()

        def page_left(offset: Value) -> Value:
            place = offset[shift:12]
            return Mux(place > page_beats - self.max_beats, page_beats - place, self.max_beats)

        def cut(left: Value, offset: Value) -> list[Assign]:
            most = page_left(offset)
            ends = left <= most
            return [line_ends.eq(ends), beats.eq(Mux(ends, left, most))]

        # The next offset in this line.
        end = Signal(32)
        bad = Signal()
        m.d.sync += self.fault.eq(bad)
        m.d.comb += [
            end.eq(offset + (beats << shift)),
            bad.eq(self.busy & ((beats > room) | offset[:shift].any())),
            self.request.valid.eq(self.busy & self.enable & (beats <= self.space) & ~bad),
            self.request.payload.offset.eq(offset),
            self.request.payload.beats.eq(beats),
        ]
        accepted = Signal()
        m.d.comb += accepted.eq(self.request.valid & self.request.ready)
        if self.single:
            begins, begun, whole = self.start, self.offset, self.line_beats
            m.d.comb += self.final.eq(line_ends)
        else:
            begins, begun, whole = self._lines(m, line_ends, accepted)
        with m.If(begins):
            m.d.sync += [offset.eq(begun), left.eq(whole), *cut(whole, begun), room.eq((self.limit - begun) >> shift)]
        with m.Elif(accepted):
            rest = Signal.like(left)
            m.d.comb += rest.eq(left - beats)
            m.d.sync += [offset.eq(end), left.eq(rest), *cut(rest, end), room.eq(room - beats)]
        with m.If(self.start):
            m.d.sync += self.busy.eq(self.any)
        with m.Elif(accepted & self.final):
            m.d.sync += self.busy.eq(0)
        return m

    def _lines(self, m: Module, line_ends: Signal, accepted: Signal) -> tuple[Value, Signal, Signal]:
        """Walk the block's lines; returns whether a line begins in this cycle, its offset and its beats.

        ``line_ends``: the burst that is asked for is its line's last; it is ``accepted`` in this cycle. The first line begins while the
        generator is not busy, all others while it is: one set of gates finds the first burst of either.
        """
        line_offset = Signal(32)
        pitch = Signal(32)
        line_beats = Signal.like(self.line_beats)
        lines = Signal(16)
        line, begun = Signal(32), Signal(32)
        whole = Signal.like(line_beats)
        begins = Signal()
        m.d.comb += [
            self.final.eq(line_ends & (lines == 1)),
            line.eq(line_offset + pitch),
            begun.eq(Mux(self.busy, line, self.offset)),
            whole.eq(Mux(self.busy, line_beats, self.line_beats)),
            begins.eq(self.start | (accepted & line_ends)),
        ]
        with m.If(begins):
            m.d.sync += [line_offset.eq(begun), lines.eq(lines - 1)]
        with m.If(self.start):
            m.d.sync += [line_beats.eq(self.line_beats), lines.eq(self.lines), pitch.eq(self.pitch)]
        return begins, begun, whole
