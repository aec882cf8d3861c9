"""The unpacker: takes LOAD's beats, hands out buffer rows; puts back the zeros that packed weights leave out."""

from collections.abc import Iterable

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.primitives.delay import delayed
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec.machine import MachineConfig

__all__ = ["Unpacker"]


def count_ones(bits: Iterable[Value]) -> Value:
    """Number of ones among ``bits``, as a tree of adders."""
    counts = list(bits)
    while len(counts) > 1:
        odd = counts[len(counts) & ~1 :]
        counts = [a + b for a, b in zip(counts[::2], counts[1::2], strict=False)] + odd
    return counts[0]


def prefix_counts(bits: list[Value]) -> list[Value]:
    """For every bit the number of ones below it, in as many levels of adders as the number of bits has binary digits."""
    counts: list[Value] = [Const(0, 1), *bits[:-1]]
    distance = 1
    while distance < len(counts):
        counts = [count + counts[i - distance] if i >= distance else count for i, count in enumerate(counts)]
        distance *= 2
    return counts


class Unpacker(wiring.Component):
    """Gathers beats to rows of N words, plain ones and packed ones.

    A packed row is a bitmap of ``cfg.mask_words`` words (bit i: word i of the row is there), the words that are there, and zeros up to
    the words of a beat. So a beat ends one row at most, whatever it holds, and holds the end of one bitmap at most: the rows leave as
    fast as the beats come, and finding out where the next one ends is one addition a beat. Bits of the bitmap above N are ignored.

    A row whose last word comes with a beat in cycle t leaves in t + 1 + UNPACK_CYCLES: t + 1, what a row would be long that has its
    bitmap's last word here, for every word of the beat; t + 2, which of these it is, and where a row ends; t + 3, the row's words are
    shifted to their places behind each other; t + 4, each lane takes the word that is its own. Throughput: one row a cycle.

    Parameters
    ----------
    cfg : MachineConfig
        The machine; of it ``n``, above the words of a beat, and ``bus_bits``.

    Members
    -------
    valid, data : a beat of ``bus_bits``, the first word in its lowest 16 bits.
    packed : it belongs to packed weights.
    first : it is their first, what is left of those before is forgotten.
    ends : it ends a row that is not packed.
    row : buffer row of that row; with ``first``, that of the first packed one. The others follow it.
    count : with ``first``, how many packed rows there are. What follows them is dropped.
    write : a row leaves in this cycle.
    write_row : its buffer row.
    words : its N words, word i in bits 16 * i and up.
    """

    valid: Signal
    data: Signal
    packed: Signal
    first: Signal
    ends: Signal
    row: Signal
    count: Signal
    write: Signal
    write_row: Signal
    words: Signal

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("Unpacker", cfg)
        super().__init__({
            "valid": In(1), "data": In(cfg.bus_bits), "packed": In(1), "first": In(1), "ends": In(1), "row": In(16), "count": In(16),
            "write": Out(1), "write_row": Out(16), "words": Out(16 * cfg.n),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        n, beat, head = cfg.n, cfg.bus_words, cfg.mask_words
        longest = head + n

        # t + 1, t + 2: the beat; for each of its words the length of a row whose bitmap ends there.
        raw_valid = delayed(m, self.valid, 1, "raw_valid")
        valid = delayed(m, raw_valid, 1, "valid")
        raw = Signal(cfg.bus_bits)
        data = Signal(cfg.bus_bits)
        with m.If(self.valid):
            m.d.sync += raw.eq(self.data)
        with m.If(raw_valid):
            m.d.sync += data.eq(raw)
        packed, first, plain = (delayed(m, self.valid & flag, 2, name) for flag, name in (
            (self.packed, "packed"), (self.packed & self.first, "first"), (self.ends & ~self.packed, "plain")))
        # Word i with the word before it: with one word of bitmap that one does not count.
        before = Cat(data[-16:], raw)
        lengths = []
        for i in range(beat):
            mask = before[16 * (i + 2 - head) : 16 * (i + 2)][:n]
            total = Signal(range(longest + 1), name=f"total{i}")
            length = Signal(range(longest + 1), name=f"length{i}")
            m.d.comb += total.eq(count_ones(mask) + head)
            with m.If(raw_valid):
                m.d.sync += length.eq(Mux(total < beat, beat, total))
            lengths.append(length)

        # t + 2: words of this beat up to the end of the next bitmap, less one, are the whole state.
        # The row before that bitmap ends ``head - 1`` words earlier; if that is no word of this beat, it has ended before.
        history = Signal(((n - 2) // beat + 2) * cfg.bus_bits)  # beats before this one
        ahead = Signal(range(beat + longest))
        follows = Signal(range(beat + longest))
        q = Signal.like(ahead)
        held = Signal(range(longest + 1))
        length = Signal(range(longest + 1))
        mask = Signal(n)
        held_mask = Signal(n)
        new = Signal()
        late = Signal()
        ends = Signal()
        k = (beat - 1).bit_length()
        words = Array([Cat(history[-16:], data)[16 * (i + 2 - head) : 16 * (i + 2)][:n] for i in range(beat)])
        m.d.comb += [
            q.eq(Mux(first, head - 1, ahead)),
            new.eq(q < beat),
            length.eq(Array(lengths)[q[:k]]),
            mask.eq(words[q[:k]]),
            follows.eq(Mux(new, q + length, q)),
            late.eq(q >= head),
            ends.eq(packed & (Mux(late, q, follows) < beat + head)),
        ]
        with m.If(valid):
            m.d.sync += [history.eq(Cat(history, data)[cfg.bus_bits :]), ahead.eq(follows - beat)]
            with m.If(new):
                m.d.sync += [held.eq(length), held_mask.eq(mask)]
        # The first of the row's words that are there, counted from the oldest in ``history`` as it then is.
        newest = len(history) // 16 - beat
        start = Signal(range(newest + head + 1))
        used = Signal(n)
        m.d.sync += [
            start.eq(Mux(packed, q + newest + 1 - Mux(late, held, 0), newest + beat - cfg.row_beats * beat)),
            used.eq(Mux(packed, Mux(late, held_mask, mask), ~0)),
        ]

        # t + 3: where the row goes.
        begins, ended, plain_ended = (
            delayed(m, flag, 1, name) for flag, name in ((first, "begins"), (ends, "ended"), (plain, "plain_ended")))
        row, count = delayed(m, self.row, 3, "row"), delayed(m, self.count, 3, "count")
        next_row = Signal(16)
        left = Signal(16)
        this_row = Signal(16)
        this_left = Signal(16)
        wanted = Signal()
        m.d.comb += [
            this_row.eq(Mux(begins | plain_ended, row, next_row)),
            this_left.eq(Mux(begins, count, left)),
            wanted.eq(ended & (this_left != 0)),
        ]
        m.d.sync += [next_row.eq(this_row + wanted), left.eq(this_left - wanted)]

        # Also t + 3: the words that are there, one behind the other.
        leaves = Signal()
        dense = Signal(16 * n)
        lanes = Signal(n)
        m.d.comb += leaves.eq(wanted | plain_ended)
        with m.If(leaves):
            m.d.sync += [dense.eq(history >> Cat(Const(0, 4), start)), lanes.eq(used)]
        which = []
        for i, count in enumerate(prefix_counts(list(used))):
            place = Signal(range(i + 1), name=f"place{i}")
            m.d.sync += place.eq(count)
            which.append(place)

        # t + 4: each lane takes its own.
        parts = [dense[16 * i : 16 * (i + 1)] for i in range(n)]
        ending = delayed(m, leaves, 1, "ending")
        out_row = delayed(m, this_row, 1, "out_row")
        m.d.sync += self.write.eq(ending)
        with m.If(ending):
            m.d.sync += self.write_row.eq(out_row)
            for i, place in enumerate(which):
                m.d.sync += self.words[16 * i : 16 * (i + 1)].eq(Mux(lanes[i], Array(parts[: i + 1])[place], 0))
        return m
