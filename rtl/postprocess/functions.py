"""What POOL has beside windows in machines with functions: products of two maps, and function tables."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import memory

from squeezelerator.rtl.primitives.delay import delayed
from squeezelerator.spec import isa
from squeezelerator.spec.constants.units import FUNCTION_STAGES, TABLE_ENTRIES
from squeezelerator.spec.functions.function_table import SEGMENTS, TABLES

__all__ = ["FunctionDatapath", "PoolMode"]

_SLOPE_BITS, _OFFSET_BITS = 16, 32
#: Bits of a factor: an unsigned multiplier of 16 bits or a signed word.
_FACTOR_BITS = 17


class PoolMode:
    """Which of POOL's operations its ``word`` is, and the bounds of the innermost loops that follow from it.

    MUL has two positions a result: the second map, then the first; LOOKUP has one. TABLE has one for each of its entries, and no map.

    Attributes
    ----------
    mul, lookup, table : 1 for that operation.
    kw, kh, out_w, out_h, blocks : bounds of the loops.
    """

    def __init__(self, m: Module, word: Signal, f: SimpleNamespace) -> None:
        self.mul, self.lookup, self.table = (Signal(name=name) for name in ("is_mul", "is_lookup", "is_table"))
        for signal, name in ((self.mul, "MUL"), (self.lookup, "LOOKUP"), (self.table, "TABLE")):
            m.d.comb += signal.eq(word[:8] == isa.BY_NAME[name].code)
        other = self.mul | self.lookup | self.table
        self.kw = Mux(self.table, TABLE_ENTRIES, Mux(self.mul, 2, Mux(self.lookup, 1, f.kw)))
        self.kh = Mux(other, 1, f.kh)
        self.out_w, self.out_h, self.blocks = (Mux(self.table, 1, bound) for bound in (f.out_w, f.out_h, f.blocks))

    def sums(self, kind: Value) -> Value:
        """Whether positions outside the map count as 0, and words are added rather than compared; ``kind`` is POOL's."""
        return self.mul | self.lookup | (kind == isa.POOL_AVG)


class FunctionDatapath:
    """The lanes' factors, the function tables, and the pipeline from a lane's sum to its product.

    The tables lie in a memory for each lane, all with the same contents: an entry is a slope and an offset. A TABLE writes its entries
    with the delay with which a LOOKUP reads them, so that instructions that follow each other cannot meet there.

    Parameters
    ----------
    m : Module
    word : the instruction whose positions are visited.
    mode : PoolMode
    arrival : cycles from a position to its word.
    """

    def __init__(self, m: Module, word: Signal, mode: PoolMode, arrival: int) -> None:
        self._m = m
        f = SimpleNamespace(**{name: word[at.offset : at.offset + at.width] for name, at in (
            ("segment", isa.BY_NAME["LOOKUP"].field("segment")), ("table", isa.BY_NAME["LOOKUP"].field("table")))})
        self._word, self._arrival = word, arrival
        self.mul = delayed(m, mode.mul, arrival, "mul", reset_less=True)
        self._lookup = delayed(m, mode.lookup, arrival + FUNCTION_STAGES, "lookup", reset_less=True)
        self._segment = delayed(m, f.segment, arrival + 1, "segment", reset_less=True)
        self._number = delayed(m, f.table, arrival + 1, "table", reset_less=True)

    def fill(self, write: Value, entry: Value) -> None:
        """A position of TABLE: entry number ``entry`` of the instruction, if ``write``."""
        m, op = self._m, isa.BY_NAME["TABLE"]
        first = op.field("first")
        slope, offset = Signal(_SLOPE_BITS), Signal(_OFFSET_BITS)
        with m.Switch(entry):
            for number in range(TABLE_ENTRIES):
                with m.Case(number):
                    for signal, name in ((slope, f"slope{number}"), (offset, f"offset{number}")):
                        at = op.field(name)
                        m.d.comb += signal.eq(self._word[at.offset : at.offset + at.width])
        address = (self._word[first.offset : first.offset + first.width] + entry)[: first.width]
        late = self._arrival + 1
        self._write = delayed(m, write, late, "table_write")
        self._address = delayed(m, address, late, "table_address", reset_less=True)
        self._entry = delayed(m, Cat(slope, offset), late, "table_entry", reset_less=True)

    def factor(self, lane: int, keep: Value, data: Signal, common: Value) -> Signal:
        """The lane's factor: its word of the second map, taken where ``keep``, or what all lanes share."""
        factor = Signal(signed(_FACTOR_BITS), name=f"factor{lane}", reset_less=True)
        with self._m.If(~self.mul):
            self._m.d.sync += factor.eq(common)
        with self._m.Elif(keep):
            self._m.d.sync += factor.eq(data)
        return factor

    def product(self, lane: int, total: Signal, factor: Signal, low_bits: int) -> Value:
        """``total`` times ``factor``, or slope times ``total`` plus offset, ``FUNCTION_STAGES`` + 1 cycles after ``total``."""
        m = self._m
        slope, offset = self._look_up(lane, total)
        value = delayed(m, total, FUNCTION_STAGES, f"value{lane}", reset_less=True)
        times = Signal(signed(_FACTOR_BITS), name=f"times{lane}", reset_less=True)
        addend, late_addend = (Signal(signed(_OFFSET_BITS), name=f"{what}{lane}", reset_less=True) for what in ("addend", "late_addend"))
        lookup = self._lookup
        m.d.sync += [
            times.eq(Mux(lookup, slope, delayed(m, factor, FUNCTION_STAGES - 1, f"late_factor{lane}", reset_less=True))),
            addend.eq(Mux(lookup, offset, 0)), late_addend.eq(addend),
        ]
        low = Signal(signed(low_bits + _FACTOR_BITS + 1), name=f"low_product{lane}", reset_less=True)
        high = Signal(signed(len(total) - low_bits + _FACTOR_BITS), name=f"high_product{lane}", reset_less=True)
        m.d.sync += [low.eq(value[:low_bits] * times), high.eq(value[low_bits:].as_signed() * times)]
        upper = Signal(signed(len(high) + 1), name=f"upper{lane}")
        m.d.comb += upper.eq(high + low[low_bits:].as_signed())
        return Cat(low[:low_bits], upper).as_signed() + late_addend

    def _look_up(self, lane: int, total: Signal) -> tuple[Value, Value]:
        """(slope, offset) of the segment in which the lane's word, the low 16 bits of ``total``, lies; a cycle later."""
        m = self._m
        m.submodules[f"table{lane}"] = table = memory.Memory(shape=_SLOPE_BITS + _OFFSET_BITS, depth=TABLES * SEGMENTS, init=[])
        write, read = table.write_port(), table.read_port()
        shifted = Signal(signed(16), name=f"shifted{lane}")
        segment = Signal(range(SEGMENTS), name=f"segment{lane}")
        bits = len(segment)
        fits = shifted[bits - 1 :].all() | ~shifted[bits - 1 :].any()
        m.d.comb += [
            shifted.eq(total[:16].as_signed() >> self._segment),
            # From two's complement to a number that counts from the lowest segment: the sign is turned round.
            segment.eq(Mux(fits, Cat(shifted[: bits - 1], ~shifted[bits - 1]), (~shifted[-1]).replicate(bits))),
            read.addr.eq(Cat(segment, self._number)),
            write.en.eq(self._write), write.addr.eq(self._address), write.data.eq(self._entry),
        ]
        return read.data[:_SLOPE_BITS].as_signed(), read.data[_SLOPE_BITS:].as_signed()
