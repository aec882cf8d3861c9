"""OS: reads the input pixels of each record from the activation buffer, array row by array row, ahead of the array."""

import itertools

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.array.geometry import View, first_row, next_line
from squeezelerator.rtl.buffer.ports import AccessInterface, ReadPort
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec.constants.units import FIFO_ROWS
from squeezelerator.spec.machine import MachineConfig

__all__ = ["OsLoader", "os_pass_layout", "record_layout"]


def os_pass_layout() -> data.StructLayout:
    """Layout of what an OS pass adds to the View."""
    return data.StructLayout({
        "last_seg": 12, "seg0": 12, "nrows": 6, "last_window": 4,
        "few_segs": 6,  # segments of a line, where that is not more than array rows
        "seg_org": 16, "seg_x": signed(18),  # the View's org and x0 of segment seg0
        "seg_step": 9,  # rows from one segment to the next
        "bank": 1, "fresh": 1, "pixels": 16,
        "shifted": 10,  # pixels that one shift moves from an array row in use to the one above
    })


def record_layout(cfg: MachineConfig) -> data.StructLayout:
    """Layout of what goes with a record to the computing stage."""
    return data.StructLayout({"bitmap": cfg.rf, "fresh": 1, "last": 1, "bank": 1, "pixels": 16})


def at_most_n(m: Module, value: Value, n: int, name: str) -> Signal:
    """Signal that is the signed ``value`` brought between 0 and ``n``: comparing it with each of N positions takes a few bits."""
    result = Signal(range(n + 1), name=f"{name}_clipped")
    with m.If(value < 0):
        m.d.comb += result.eq(0)
    with m.Elif(value >= n):
        m.d.comb += result.eq(n)
    with m.Else():
        m.d.comb += result.eq(value)
    return result


class OsLoader(wiring.Component):
    """Loads record after record.

    A record whose pixels lie ``down`` output lines below those of the record before needs only ``down * segs`` new array rows, and
    reading simply goes on where it ended: ``down`` lines more in the kernel are ``down`` lines less from there to the same pixels.

    Latency: a handshake in cycle t brings the first request in t + 1 and then one a cycle, as long as fewer than FIFO_ROWS rows are held
    or on their way; a row asked for in cycle t is at ``row_valid`` in t + 1 + ``cfg.read_latency``. The next handshake may come in the
    cycle of the record's last request. Throughput: one array row a cycle with stride 1; with stride s a row takes up to s requests.

    Parameters
    ----------
    cfg : MachineConfig
        The machine; of it ``n`` (2 to 32: array rows, columns and words of a request), ``rf`` (4 to 64: bits of ``bitmap``) and
        ``read_latency`` (cycles).

    Members
    -------
    valid, ready : handshake for a record, described by the others down to ``pass_``.
    offset : buffer rows from the pass's first pixel to that of the record's channel block at (ky, kx), modulo 65536.
    lane : channel within the block, 0 to n - 1.
    kx, ky : place in the kernel, in pixels and lines.
    bitmap : bit k: the record has a weight for register-file entry k.
    first, last : it is the first, the last record of its pass.
    down : output lines by which its pixels lie below those of the record before, 0 to 2; 0: none of them are reused.
    view, pass_ : its pass, of :func:`~rtl.array.geometry.view_layout` and :func:`os_pass_layout`.
    rd : :class:`~rtl.buffer.ports.ReadPort` of the activation buffer, column access.
    row_valid : an array row has arrived; ``row_data`` to ``record`` describe the oldest.
    row_data : N words of 16 bits, column j in bits 16 * j and up.
    row_cols : bit j: column j takes its word.
    row_select : a bit for the array row that it goes to.
    row_last : it is the last one of its record, which ``record`` (:func:`record_layout`) describes.
    row_shift : it follows the rows that the array holds: they move up by one, it becomes the lowest in use.
    row_pop : take it; only with ``row_valid``.
    words, moved : words read, and pixels that a shift will move, asked for in the cycle before (event counters).
    """

    valid: Signal
    ready: Signal
    offset: Signal
    lane: Signal
    kx: Signal
    ky: Signal
    bitmap: Signal
    first: Signal
    last: Signal
    down: Signal
    view: data.View
    pass_: data.View
    rd: AccessInterface
    row_valid: Signal
    row_data: Signal
    row_cols: Signal
    row_select: Signal
    row_last: Signal
    row_shift: Signal
    record: data.View
    row_pop: Signal
    words: Signal
    moved: Signal

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("OsLoader", cfg)
        n = cfg.n
        super().__init__({
            "valid": In(1), "ready": Out(1), "offset": In(16), "lane": In(5), "kx": In(5), "ky": In(6),
            "bitmap": In(cfg.rf), "first": In(1), "last": In(1), "down": In(2), "view": In(View), "pass_": In(os_pass_layout()),
            "rd": Out(ReadPort(n)),
            "row_valid": Out(1), "row_data": Out(16 * n), "row_cols": Out(n), "row_select": Out(n), "row_last": Out(1),
            "row_shift": Out(1), "record": Out(record_layout(cfg)), "row_pop": In(1),
            "words": Out(range(n + 1)), "moved": Out(range(n * n)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, n = self.cfg, self.cfg.n
        view = Signal(View)
        pass_ = Signal(os_pass_layout())
        lane = Signal(5)
        active = Signal()
        credits = Signal(range(FIFO_ROWS + 1), init=FIFO_ROWS)

        # Position of the current read: the line and the column and row of its first pixel, kept also for the window's first read in
        # this segment and the line's first segment, so that the next one is a single addition away.
        y = Signal(signed(17))
        past = Signal(signed(18))
        x = Signal(signed(18))
        seg_x = Signal(signed(18))
        line_x = Signal(signed(18))
        addr = Signal(16)
        seg_addr = Signal(16)
        line_addr = Signal(16)
        seg = Signal(12)
        index = Signal(range(n))
        shifting = Signal()
        rows_left = Signal(6)
        window = Signal(4)
        used = Signal(signed(11))  # positions from this window on that the segment reaches
        # Known a cycle ahead, because the handshake and all that it brings hang on them: there is a credit; the window, row and segment
        # are the last.
        funded = Signal(init=1)
        last_window = Signal()
        last_row = Signal()
        last_seg = Signal()

        request = Signal()
        row_done = Signal()
        record_done = Signal()
        m.d.comb += [
            request.eq(active & funded),
            row_done.eq(request & last_window),
            record_done.eq(active & funded & last_window & last_row),
            self.ready.eq(~active | record_done),
        ]
        with m.If(row_done):
            # After a record `index` stays at its last row: there the rows of a shifting record come in.
            stays = shifting | last_row
            m.d.sync += [
                window.eq(0), last_window.eq(pass_.last_window == 0), used.eq(pass_.seg_step),
                rows_left.eq(rows_left - 1), last_row.eq(rows_left == 2), index.eq(Mux(stays, index, index + 1)),
                last_seg.eq(Mux(last_seg, 0, seg + 1) == pass_.last_seg),
            ]
            with m.If(last_seg):
                line_row = (line_addr + next_line(past, view))[:16]
                m.d.sync += [seg.eq(0), y.eq(y + view.stride_y), past.eq(past + view.stride_y), line_addr.eq(line_row)]
                m.d.sync += [target.eq(line_x) for target in (x, seg_x)] + [target.eq(line_row) for target in (addr, seg_addr)]
            with m.Else():
                m.d.sync += seg.eq(seg + 1)
                m.d.sync += [target.eq(seg_x + pass_.seg_step) for target in (x, seg_x)]
                m.d.sync += [target.eq(seg_addr + pass_.seg_step) for target in (addr, seg_addr)]
        with m.Elif(request):
            m.d.sync += [
                window.eq(window + 1), last_window.eq(window + 1 == pass_.last_window), used.eq(used - n), x.eq(x + n), addr.eq(addr + n),
            ]
        with m.If(record_done):
            m.d.sync += active.eq(0)
        with m.If(self.valid & self.ready):
            start_past = Signal(signed(18))
            m.d.comb += start_past.eq(self.view.past + self.ky)
            m.d.sync += [
                active.eq(1), view.eq(self.view), pass_.eq(self.pass_), lane.eq(self.lane), window.eq(0), used.eq(self.pass_.seg_step),
                shifting.eq(self.down != 0), last_window.eq(self.pass_.last_window == 0),
            ]
            seg_row = first_row(self.pass_.seg_org + self.offset, start_past, self.view)
            with m.If(self.down != 0):
                rows = Mux(self.down[0], self.pass_.few_segs, self.pass_.few_segs << 1)
                m.d.sync += [rows_left.eq(rows), last_row.eq(rows == 1)]
            with m.Else():
                m.d.sync += [
                    y.eq(self.view.y0 + self.ky), past.eq(start_past), line_x.eq(self.view.x0 + self.kx),
                    line_addr.eq(first_row(self.view.org + self.offset, start_past, self.view)),
                    seg.eq(self.pass_.seg0), last_seg.eq(self.pass_.seg0 == self.pass_.last_seg), index.eq(0),
                    rows_left.eq(self.pass_.nrows), last_row.eq(self.pass_.nrows == 1),
                ]
                m.d.sync += [target.eq(self.pass_.seg_x + self.kx) for target in (x, seg_x)]
                m.d.sync += [target.eq(seg_row) for target in (addr, seg_addr)]

        # Which of the N pixels from `addr` on exist, and which of them does a PE want?
        low = Signal(signed(19))
        high = Signal(signed(19))
        line_ok = Signal()
        mask = Signal(n)
        m.d.comb += [
            low.eq(-x), high.eq(view.in_w - x),
            line_ok.eq((y >= 0) & (y < view.in_h)),
        ]
        wanted = self._wanted(m, view.stride_x, window)
        from_, to, within = (at_most_n(m, value, n, name) for value, name in ((low, "low"), (high, "high"), (used, "used")))
        for p in range(n):
            m.d.comb += mask[p].eq(line_ok & (from_ <= p) & (to > p) & (within > p) & wanted[p])
        m.d.comb += [
            self.rd.en.eq(request & mask.any()), self.rd.row.eq(addr), self.rd.col.eq(1),
            self.rd.lane.eq(lane), self.rd.mask.eq(mask),
        ]

        # What is known of a read travels beside it.
        travel = data.StructLayout({
            "valid": 1, "mask": n, "stride": 3, "window": 4, "index": range(n), "last": 1, "shift": 1})
        stage = [Signal(travel, name=f"travel{i}") for i in range(cfg.read_latency)]
        shift = Signal()
        m.d.comb += shift.eq(shifting & (window == 0))
        m.d.sync += [
            stage[0].eq(Cat(request, mask, view.stride_x, window, index, record_done, shift)),
            self.moved.eq(Mux(request & shift, pass_.shifted, 0)),
        ]
        for a, b in itertools.pairwise(stage):
            m.d.sync += b.eq(a)
        arrived = stage[-1]
        m.d.comb += self.words.eq(Mux(stage[0].valid, sum(stage[0].mask[p] for p in range(n)), 0))
        words, cols = self._to_lanes(m, arrived)

        entry = data.StructLayout({"words": 16 * n, "cols": n, "select": n, "last": 1, "shift": 1})
        fifo = m.submodules.fifo = memory.Memory(shape=entry.size, depth=FIFO_ROWS, init=[])
        head = Signal(range(FIFO_ROWS))
        tail = Signal(range(FIFO_ROWS))
        stored = Signal(range(FIFO_ROWS + 1))
        write, read = fifo.write_port(), fifo.read_port(domain="comb")
        out = Signal(entry)
        m.d.comb += [
            write.addr.eq(tail), write.en.eq(arrived.valid),
            write.data.eq(Cat(words, cols, (Const(1, n) << arrived.index)[:n], arrived.last, arrived.shift)),
            read.addr.eq(head), out.eq(read.data),
            self.row_data.eq(out.words), self.row_cols.eq(out.cols), self.row_select.eq(out.select),
            self.row_last.eq(out.last), self.row_shift.eq(out.shift),
        ]
        m.d.sync += [
            stored.eq(stored + arrived.valid - self.row_pop),
            self.row_valid.eq(arrived.valid | (stored > 1) | ((stored == 1) & ~self.row_pop)),
            credits.eq(credits - request + self.row_pop),
            funded.eq(self.row_pop | Mux(request, credits > 1, credits != 0)),
            tail.eq(tail + arrived.valid), head.eq(head + self.row_pop),
        ]
        self._records(m, self.pass_)
        return m

    def _records(self, m: Module, pass_: data.View) -> None:
        """Descriptions wait in a FIFO of their own from the handshake on; every one belongs to at least one row."""
        depth = 2 * FIFO_ROWS
        layout = record_layout(self.cfg)
        fifo = m.submodules.records = memory.Memory(shape=layout.size, depth=depth, init=[])
        head = Signal(range(depth))
        tail = Signal(range(depth))
        write, read = fifo.write_port(), fifo.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(tail), write.en.eq(self.valid & self.ready),
            write.data.eq(Cat(self.bitmap, pass_.fresh & self.first, self.last, pass_.bank, pass_.pixels)),
            read.addr.eq(head), self.record.eq(read.data),
        ]
        m.d.sync += [tail.eq(tail + write.en), head.eq(head + (self.row_pop & self.row_last))]

    def _wanted(self, m: Module, stride: Value, window: Value) -> Signal:
        """Bit p: position p of this window is a multiple of the stride from the segment's start."""
        n = self.cfg.n
        wanted = Signal(n)
        with m.Switch(stride):
            for s in (2, 3, 4):
                with m.Case(s):
                    choices = Array([Const(sum(1 << p for p in range(n) if (w * n + p) % s == 0), n) for w in range(s)])
                    m.d.comb += wanted.eq(choices[window])
            with m.Default():
                m.d.comb += wanted.eq(~0)
        return wanted

    def _to_lanes(self, m: Module, arrived: data.View) -> tuple[Value, Signal]:
        """Words for the N columns and the columns that this window brings; positions outside the input give zero."""
        n = self.cfg.n
        words = [Signal(16, name=f"column{j}") for j in range(n)]
        cols = Signal(n)
        clean = [Signal(16, name=f"position{p}") for p in range(n)]
        for p in range(n):
            m.d.comb += clean[p].eq(Mux(arrived.mask[p], self.rd.data[16 * p : 16 * (p + 1)], 0))
        with m.Switch(arrived.stride):
            for s in (2, 3, 4):
                with m.Case(s):
                    for j in range(n):
                        m.d.comb += [words[j].eq(clean[j * s % n]), cols[j].eq(arrived.window == j * s // n)]
            with m.Default():
                for j in range(n):
                    m.d.comb += [words[j].eq(clean[j]), cols[j].eq(1)]
        return Cat(*words), cols
