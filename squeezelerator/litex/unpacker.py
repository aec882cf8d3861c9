"""Lays a picture out in the memory while its bytes come: 16-bit values in the rows of a program's input, phases and padding included.

An input takes more memory than its picture has bytes: 16 bits a value, rows of N lanes of which some stay empty, padding. Over a link
that is time. This slave of the bus takes the picture's bytes (H, W, C), looks the value of each up (256 for each channel,
so that whatever the weights want, no multiplier rounds otherwise than the host), and writes it through a port of LiteDRAM.
Where a value lies is the address of its row, which counts, and the offset of its stored channel, from a table. Padding is not written: it
never changes. A word counts only if it is the next one, so one that is sent twice does no harm. Checksums of the bytes, and of what was
written to registers and tables, are read instead of these.
"""

from litex.gen import LiteXModule
from litex.soc.interconnect import wishbone
from migen import FSM, READ_FIRST, Array, Cat, If, Memory, Mux, NextState, Replicate, Signal, log2_int

from squeezelerator.spec.platform.unpacker import CHECKED_BITS, ENTRIES, MOST_CHANNELS, MOST_STORED

__all__ = ["ImageUnpacker"]

#: CRC-32 as Ethernet and zlib have it, lowest bit first.
POLYNOMIAL = 0xEDB88320
#: Bits of a value, of an offset, of an address in the window (in words).
VALUE_BITS, OFFSET_BITS, WORD_BITS = 16, 28, 18


class ImageUnpacker(LiteXModule):
    """``bus`` is the Wishbone slave (``spec.platform.unpacker`` has its map).

    Parameters
    ----------
    port : LiteDRAMNativePort
        A port to write to.
    row_bytes : int
        Bytes of a row of the machine's maps.
    """

    def __init__(self, port: object, row_bytes: int) -> None:
        self.bus = wishbone.Interface(data_width=32, address_width=32, addressing="word")
        self._row_bytes = row_bytes
        self._registers()
        self._tables()
        self._walk()
        self._checksum()
        self._states(port)

    def _registers(self) -> None:
        self.line, self.line_step = Signal(OFFSET_BITS), Signal(OFFSET_BITS)
        self.width, self.last_channel = Signal(12), Signal(2)
        self.last_px, self.first_px, self.last_py, self.py = (Signal(3) for _ in range(4))
        self.line_channel, self.phase_channels, self.first_channel = (Signal(6) for _ in range(3))
        self.remaining, self.expected = Signal(21), Signal(WORD_BITS)
        #: A word of the control half is written in this cycle; a picture's word is taken; a byte lies in the memory.
        self.control, self.take, self.step = Signal(), Signal(), Signal()
        self.begin = Signal()
        #: The last byte of a line.
        self.line_ends = Signal()
        written = self.bus.dat_w
        number, registers = self.bus.adr[:3], self.bus.adr[10:12] == 0
        self.comb += self.begin.eq(self.control & registers & (number == 4))
        self.sync += [
            If(self.step, self.remaining.eq(self.remaining - 1)),
            If(self.take, self.expected.eq(self.expected + 1)),
            If(self.step & self.line_ends, If(
                self.py == self.last_py, self.py.eq(0), self.line_channel.eq(0), self.line.eq(self.line + self.line_step),
            ).Else(self.py.eq(self.py + 1), self.line_channel.eq(self.line_channel + self.phase_channels))),
            If(self.control & registers, If(number == 0, self.line.eq(written)), If(number == 1, self.line_step.eq(written)),
               If(number == 2, Cat(self.width, self.last_channel, self.last_px, self.first_px, self.last_py, self.py).eq(written)),
               If(number == 3, Cat(self.line_channel, self.phase_channels, self.first_channel).eq(written)),
               If(number == 4, self.remaining.eq(written), self.expected.eq(0))),
        ]

    def _tables(self) -> None:
        values, offsets = Memory(VALUE_BITS, ENTRIES * MOST_CHANNELS), Memory(OFFSET_BITS, MOST_STORED)
        self.specials += values, offsets
        self.channel, self.stored, self.held = Signal(2), Signal(6), Signal(32)
        read = []
        for place, (memory, address) in enumerate(((values, Cat(self.held[:8], self.channel)), (offsets, self.stored)), 1):
            write, port = memory.get_port(write_capable=True), memory.get_port(mode=READ_FIRST)
            self.specials += write, port
            self.comb += [write.adr.eq(self.bus.adr), write.dat_w.eq(self.bus.dat_w),
                          write.we.eq(self.control & (self.bus.adr[10:12] == place)), port.adr.eq(address)]
            read.append(port.dat_r)
        self.value, self.offset = read

    def _walk(self) -> None:
        """Pixel by pixel along a line; ``new_line`` puts all counters to its start."""
        self.row, self.new_line = Signal(OFFSET_BITS), Signal()
        left, px = Signal(12), Signal(3)
        pixel_ends = self.channel == self.last_channel
        self.comb += self.line_ends.eq(pixel_ends & (left == 0))
        self.sync += [
            If(self.step, self.stored.eq(self.stored + 1), self.channel.eq(self.channel + 1), If(
                pixel_ends, self.channel.eq(0), left.eq(left - 1), px.eq(px + 1),
                If(px == self.last_px, px.eq(0), self.row.eq(self.row + self._row_bytes), self.stored.eq(self.line_channel)))),
            If(self.new_line, self.row.eq(self.line), self.stored.eq(self.line_channel + self.first_channel), px.eq(self.first_px),
               left.eq(self.width), self.channel.eq(0)),
        ]

    def _checksum(self) -> None:
        self.crc = Signal(32)
        bits = [self.crc]
        for bit in range(8):
            after = Signal(32)
            self.comb += after.eq(Cat(bits[-1][1:], 0) ^ Mux(bits[-1][0] ^ self.held[bit], POLYNOMIAL, 0))
            bits.append(after)
        #: Of registers and tables: turned left by a bit, then XOR with word and address.
        self.check = Signal(32)
        self.sync += [
            If(self.step, self.crc.eq(bits[-1])), If(self.begin, self.crc.eq(0xFFFF_FFFF)),
            If(self.control, self.check.eq(Cat(self.check[-1], self.check[:-1]) ^ self.bus.dat_w ^ self.bus.adr[:CHECKED_BITS])),
        ]

    def _states(self, port: object) -> None:
        bus, shift = self.bus, log2_int(port.data_width // 8)
        left, at, ready = Signal(3), Signal(OFFSET_BITS), Signal()
        request = bus.cyc & bus.stb & ~bus.ack
        is_control = bus.adr[WORD_BITS]
        self.comb += [
            self.control.eq(ready & request & bus.we & is_control),
            self.take.eq(ready & request & bus.we & ~is_control & (bus.adr[:WORD_BITS] == self.expected) & (self.remaining != 0)),
            bus.dat_r.eq(Mux(bus.adr[1], self.check, Mux(bus.adr[0], ~self.crc, self.remaining))),
            port.cmd.we.eq(1), port.cmd.last.eq(1), port.cmd.addr.eq(at[shift:]),
            port.wdata.data.eq(Replicate(self.value, port.data_width // VALUE_BITS)),
            port.wdata.we.eq(Array(3 << 2 * i for i in range(1 << shift - 1))[at[1:shift]]),
        ]
        self.sync += [
            bus.ack.eq(ready & request),
            If(self.take, self.held.eq(bus.dat_w), left.eq(4)),
            If(self.step, self.held.eq(self.held[8:]), left.eq(left - 1)),
            If(self.begin, left.eq(0)),
        ]
        last = (left == 1) | (self.remaining == 1)
        self.fsm = fsm = FSM(reset_state="IDLE")
        fsm.act("IDLE", ready.eq(1), If(self.take, NextState("LOOK")).Elif(self.begin, NextState("LINE")))
        # The tables' outputs come a cycle after their addresses; the value's stays until the step.
        fsm.act("LOOK", NextState("ADD"))
        fsm.act("ADD", NextState("WRITE"))
        self.sync += If(fsm.ongoing("ADD"), at.eq(self.row + self.offset))
        fsm.act("WRITE", port.cmd.valid.eq(1), If(port.cmd.ready, NextState("DATA")))
        fsm.act("DATA", port.wdata.valid.eq(1), If(port.wdata.ready, self.step.eq(1), If(
            self.line_ends, NextState("LINE")).Elif(last, NextState("IDLE")).Else(NextState("LOOK"))))
        fsm.act("LINE", self.new_line.eq(1), If((left == 0) | (self.remaining == 0), NextState("IDLE")).Else(NextState("LOOK")))
