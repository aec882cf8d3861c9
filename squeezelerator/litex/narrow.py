"""AXI bursts onto a narrower memory port, without an idle cycle between beats.

LiteDRAM's own converter works on words of the memory port and idles a cycle a word; here a burst stays a burst: its length is multiplied,
a beat of the wide side is the concatenation of ``ratio`` beats of the narrow side, low part first.
"""

from litex.gen import LiteXModule
from litex.soc.interconnect import axi
from migen import Array, Cat, If, Signal, log2_int

__all__ = ["AxiNarrow"]


class AxiNarrow(LiteXModule):
    """From the wide AXI4 interface ``wide`` to the narrow one ``narrow``.

    The wide side's bursts are INCR bursts of whole beats with addresses that are multiples of a beat, of at most ``256 / ratio`` beats.
    """

    def __init__(self, wide: axi.AXIInterface, narrow: axi.AXIInterface) -> None:
        ratio = wide.data_width // narrow.data_width
        if wide.data_width != ratio * narrow.data_width or ratio & (ratio - 1):
            raise ValueError(f"{wide.data_width} bits are no power of two times {narrow.data_width}")
        for source, sink in ((wide.aw, narrow.aw), (wide.ar, narrow.ar)):
            self.comb += [
                sink.valid.eq(source.valid), source.ready.eq(sink.ready), sink.addr.eq(source.addr), sink.burst.eq(source.burst),
                sink.id.eq(source.id), sink.len.eq(Cat(*[1] * log2_int(ratio), source.len)), sink.size.eq(log2_int(narrow.data_width // 8)),
            ]
        self.comb += [wide.b.valid.eq(narrow.b.valid), narrow.b.ready.eq(wide.b.ready), wide.b.resp.eq(narrow.b.resp),
                      wide.b.id.eq(narrow.b.id)]
        self._write(wide.w, narrow.w, narrow.data_width, ratio)
        self._read(wide.r, narrow.r, narrow.data_width, ratio)

    def _write(self, wide: object, narrow: object, bits: int, ratio: int) -> None:
        part = Signal(max=ratio)
        last = part == ratio - 1
        data = Array(wide.data[i * bits : (i + 1) * bits] for i in range(ratio))
        strb = Array(wide.strb[i * bits // 8 : (i + 1) * bits // 8] for i in range(ratio))
        self.comb += [narrow.valid.eq(wide.valid), wide.ready.eq(narrow.ready & last), narrow.data.eq(data[part]),
                      narrow.strb.eq(strb[part]), narrow.last.eq(wide.last & last)]
        self.sync += If(narrow.valid & narrow.ready, part.eq(part + 1))

    def _read(self, wide: object, narrow: object, bits: int, ratio: int) -> None:
        # All parts but the last wait in registers; the last one passes through.
        part = Signal(max=ratio)
        last = part == ratio - 1
        held = [Signal(bits) for _ in range(ratio - 1)]
        self.comb += [wide.valid.eq(narrow.valid & last), narrow.ready.eq(wide.ready | ~last), wide.data.eq(Cat(*held, narrow.data)),
                      wide.resp.eq(narrow.resp), wide.id.eq(narrow.id), wide.last.eq(narrow.last)]
        self.sync += If(narrow.valid & narrow.ready, part.eq(part + 1),
                        *[If(part == i, register.eq(narrow.data)) for i, register in enumerate(held)])
