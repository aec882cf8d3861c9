"""Prefetching readers of the weight buffer: whole rows ahead, handed out row by row."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.primitives.parameters import check_range
from squeezelerator.spec.constants.units import PREFETCH_ROWS

__all__ = ["RowPrefetch"]


class RowPrefetch(wiring.Component):
    """Reads ``words`` words from consecutive rows, keeping up to 4 rows ready.

    Members
    -------
    start, row, words : begin a stream of at least one word at ``row``; only while ``idle``.
    idle : all rows of the stream have been asked for (they may still be waiting here).
    slot : the memory port is ours in this cycle.
    mem_en, mem_row, mem_data : memory port, data one cycle after ``mem_en``.
    valid, data, count : the oldest row and how many of its words belong to the stream.
    pop : take it.

    A row asked for in cycle t is there in t + 2. A row popped in t makes room for a request in t + 1.
    """

    start: Signal
    row: Signal
    words: Signal
    idle: Signal
    slot: Signal
    mem_en: Signal
    mem_row: Signal
    mem_data: Signal
    valid: Signal
    data: Signal
    count: Signal
    pop: Signal

    def __init__(self, *, n: int) -> None:
        self.n = check_range("RowPrefetch", "n", n, 2, 32)
        super().__init__({
            "start": In(1), "row": In(16), "words": In(24), "idle": Out(1), "slot": In(1),
            "mem_en": Out(1), "mem_row": Out(16), "mem_data": In(16 * n),
            "valid": Out(1), "data": Out(16 * n), "count": Out(range(n + 1)), "pop": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.n
        left = Signal(24)
        row = Signal(16)
        free = Signal(range(PREFETCH_ROWS + 1), init=PREFETCH_ROWS)
        arriving = Signal()
        arriving_count = Signal(range(n + 1))
        head = Signal(range(PREFETCH_ROWS))
        tail = Signal(range(PREFETCH_ROWS))
        stored = Signal(range(PREFETCH_ROWS + 1))

        store = m.submodules.store = memory.Memory(shape=16 * n, depth=PREFETCH_ROWS, init=[])
        counts = m.submodules.counts = memory.Memory(shape=range(n + 1), depth=PREFETCH_ROWS, init=[])
        for mem, arrives, leaves in ((store, self.mem_data, self.data), (counts, arriving_count, self.count)):
            write = mem.write_port()
            read = mem.read_port(domain="comb")
            m.d.comb += [write.addr.eq(tail), write.data.eq(arrives), write.en.eq(arriving),
                         read.addr.eq(head), leaves.eq(read.data)]

        taken = Signal(range(n + 1))
        m.d.comb += [
            taken.eq(Mux(left < n, left, n)),
            self.idle.eq(left == 0),
            self.mem_en.eq(self.slot & (left != 0) & (free != 0)),
            self.mem_row.eq(row),
        ]
        # Whether anything is stored is asked early in long paths.
        m.d.sync += self.valid.eq(arriving | (stored > 1) | ((stored == 1) & ~self.pop))
        m.d.sync += [arriving.eq(self.mem_en), free.eq(free - self.mem_en + self.pop), stored.eq(stored + arriving - self.pop)]
        with m.If(self.start):
            m.d.sync += [left.eq(self.words), row.eq(self.row)]
        with m.Elif(self.mem_en):
            m.d.sync += [left.eq(left - taken), row.eq(row + 1)]
        m.d.sync += arriving_count.eq(taken)
        with m.If(arriving):
            m.d.sync += tail.eq(tail + 1)
        with m.If(self.pop):
            m.d.sync += head.eq(head + 1)
        return m

