"""Readers of the two OS weight streams: record headers, and the non-zero values (also the WS tiles)."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.array.geometry import View
from squeezelerator.rtl.array.prefetch import RowPrefetch
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec.constants.units import FIFO_ROWS
from squeezelerator.spec.machine import MachineConfig

__all__ = ["HeaderReader", "ValueReader"]

#: Value streams that may wait. Each has a record between its header and the multipliers: at most as many as OsLoader's FIFO has
#: rows, one each in the loader, in front of the PEs and in them, and the one whose headers are being read.
STREAMS = 2 * FIFO_ROWS

_MEMORY_MEMBERS = {"slot": In(1), "mem_en": Out(1), "mem_row": Out(16)}


def _connect_memory(m: Module, outer: "HeaderReader | ValueReader", prefetch: RowPrefetch) -> None:
    """Give ``prefetch`` the weight-buffer port of the reader around it."""
    m.d.comb += [
        prefetch.slot.eq(outer.slot), prefetch.mem_data.eq(outer.mem_data),
        outer.mem_en.eq(prefetch.mem_en), outer.mem_row.eq(prefetch.mem_row),
    ]


class HeaderReader(wiring.Component):
    """Parses record headers, one word a cycle.

    Members
    -------
    start, row, records : begin; only while ``active`` is 0.
    active : headers are still to be taken.
    valid, offset, lane, kx, ky, bitmap, first, last : the next header; ``first`` and ``last`` of its stream.
    down : how many output lines' distance its pixels lie below those of the header before, 0 if they do not or if that is too far.
    view, reach : of the stream's instruction; bit i of ``reach``: i + 1 lines are not too far.
    pop : take it; the next one is there ``cfg.header_words + 1`` cycles later at the earliest.
    slot, mem_en, mem_row, mem_data : weight buffer, as in RowPrefetch.
    """

    start: Signal
    row: Signal
    records: Signal
    active: Signal
    valid: Signal
    offset: Signal
    lane: Signal
    kx: Signal
    ky: Signal
    bitmap: Signal
    first: Signal
    last: Signal
    down: Signal
    view: data.View
    reach: Signal
    pop: Signal
    slot: Signal
    mem_en: Signal
    mem_row: Signal
    mem_data: Signal

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("HeaderReader", cfg)
        super().__init__({
            "start": In(1), "row": In(16), "records": In(16), "active": Out(1),
            "valid": Out(1), "offset": Out(16), "lane": Out(5), "kx": Out(5), "ky": Out(6), "bitmap": Out(cfg.rf),
            "first": Out(1), "last": Out(1), "down": Out(2), "view": In(View), "reach": In(2), "pop": In(1),
            **_MEMORY_MEMBERS, "mem_data": In(16 * cfg.n),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        n, words = cfg.n, cfg.header_words
        rows = m.submodules.rows = RowPrefetch(n=n)
        _connect_memory(m, self, rows)

        left = Signal(16)
        pointer = Signal(range(n))
        have = Signal(range(words + 1))
        header = Signal(16 * words)
        word = Signal(16)
        parse = Signal()
        m.d.comb += [
            rows.start.eq(self.start), rows.row.eq(self.row), rows.words.eq(self.records * words),
            self.last.eq(left == 1),
            self.valid.eq(have == words),
            word.eq(Array([rows.data[16 * i : 16 * (i + 1)] for i in range(n)])[pointer]),
            parse.eq(rows.valid & ~self.valid),
            self.offset.eq(header[0:16]), self.lane.eq(header[16:21]), self.kx.eq(header[21:26]), self.ky.eq(header[26:32]),
            self.bitmap.eq(header[32:]),
            rows.pop.eq(parse & (pointer == rows.count - 1)),
        ]
        with m.If(parse):
            m.d.sync += [
                header.eq(Cat(header[16:], word)),
                have.eq(have + 1),
                pointer.eq(Mux(rows.pop, 0, pointer + 1)),
            ]
        # Compared while the last word is parsed: offset and position are then one word above their places.
        before = Signal(32)
        offset_step = Signal(16)
        ky_step = Signal(7)
        same_column = Signal()
        m.d.comb += [
            offset_step.eq(header[16:32] - before[:16]),
            same_column.eq(header[32:42] == before[16:26]),
            ky_step.eq(header[42:48] - before[26:32]),
        ]
        with m.If(parse):
            m.d.sync += self.down.eq(0)
            for i, lines in enumerate(cfg.shift_lines):
                line = (offset_step == (self.view.line_step * lines)[:16]) & (ky_step == self.view.stride_y * lines)
                with m.If(same_column & ~self.first & self.reach[i] & line):
                    m.d.sync += self.down.eq(lines)
        with m.If(self.pop):
            m.d.sync += [have.eq(0), left.eq(left - 1), self.first.eq(0), before.eq(header[:32])]
            with m.If(self.last):
                m.d.sync += self.active.eq(0)
        with m.If(self.start):
            m.d.sync += [left.eq(self.records), self.first.eq(1), self.active.eq(self.records != 0)]
        return m


class ValueReader(wiring.Component):
    """Hands out the words of value streams one by one (OS), or weight rows one by one (WS).

    Members
    -------
    push, push_row, push_words : queue a stream of ``push_words`` words; STREAMS can wait.
    valid, word, pop_word : OS.
    row, pop_row : WS; ``valid`` as in OS.
    slot, mem_en, mem_row, mem_data : weight buffer, as in RowPrefetch.
    """

    push: Signal
    push_row: Signal
    push_words: Signal
    valid: Signal
    word: Signal
    pop_word: Signal
    row: Signal
    pop_row: Signal
    slot: Signal
    mem_en: Signal
    mem_row: Signal
    mem_data: Signal

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("ValueReader", cfg)
        super().__init__({
            "push": In(1), "push_row": In(16), "push_words": In(24),
            "valid": Out(1), "word": Out(16), "pop_word": In(1), "row": Out(16 * cfg.n), "pop_row": In(1),
            **_MEMORY_MEMBERS, "mem_data": In(16 * cfg.n),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.cfg.n
        rows = m.submodules.rows = RowPrefetch(n=n)
        _connect_memory(m, self, rows)

        m.submodules.streams = streams = fifo.SyncFIFO(width=40, depth=STREAMS)
        start = Signal()
        m.d.comb += [
            streams.w_en.eq(self.push), streams.w_data.eq(Cat(self.push_row, self.push_words)),
            start.eq(streams.r_rdy & rows.idle), streams.r_en.eq(start),
            rows.start.eq(start), rows.row.eq(streams.r_data[:16]), rows.words.eq(streams.r_data[16:]),
        ]

        pointer = Signal(range(n))
        end_of_row = Signal()
        m.d.comb += [
            self.valid.eq(rows.valid),
            self.row.eq(rows.data),
            self.word.eq(Array([rows.data[16 * i : 16 * (i + 1)] for i in range(n)])[pointer]),
            end_of_row.eq(self.pop_word & (pointer == rows.count - 1)),
            rows.pop.eq(self.pop_row | end_of_row),
        ]
        with m.If(self.pop_word):
            m.d.sync += pointer.eq(Mux(end_of_row, 0, pointer + 1))
        return m
