"""ARRAY's instruction stage: accepts instructions, prepares their addresses, hands records or tiles to the loaders."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.array.geometry import View, times_small
from squeezelerator.rtl.array.os_loader import os_pass_layout
from squeezelerator.rtl.array.weight_stream import HeaderReader, ValueReader
from squeezelerator.rtl.buffer.ports import RowInterface, RowReadPort
from squeezelerator.rtl.control.decode import decode
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig

__all__ = ["ArrayControl"]


class ArrayControl(wiring.Component):
    """Accepts an instruction as soon as the last record (OS) or the pass (WS) of the one before has been handed on.

    OS and WS never overlap: a change of dataflow waits until everything accepted has retired.

    Members
    -------
    instr : instructions whose tickets are satisfied. retire : from the computing stage.
    ws : the array's dataflow.
    wt : weight buffer. In OS headers are read in even cycles and values in odd ones; in WS values in all.
    header_* , view, os_pass : the next record and its pass; ``header_valid``, ``header_pop``.
    ws_valid, ws_pop, ws_word : the next WS instruction and its handshake.
    value_*, row : value words (OS) and weight rows (WS).
    busy : instructions are accepted and not retired.
    weight_read : a weight-buffer row is read (event).
    """

    instr: stream.Interface
    retire: Signal
    ws: Signal
    wt: RowInterface
    header_valid: Signal
    header_pop: Signal
    offset: Signal
    lane: Signal
    kx: Signal
    ky: Signal
    bitmap: Signal
    first: Signal
    last: Signal
    down: Signal
    view: data.View
    os_pass: data.View
    ws_valid: Signal
    ws_pop: Signal
    ws_word: Signal
    value_valid: Signal
    value: Signal
    value_pop: Signal
    row: Signal
    row_pop: Signal
    busy: Signal
    weight_read: Signal

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("ArrayControl", cfg)
        n = cfg.n
        super().__init__({
            "instr": In(stream.Signature(8 * isa.INSTRUCTION_BYTES)), "retire": In(1), "ws": Out(1), "wt": Out(RowReadPort(n)),
            "header_valid": Out(1), "header_pop": In(1), "offset": Out(16), "lane": Out(5), "kx": Out(5), "ky": Out(6),
            "bitmap": Out(cfg.rf), "first": Out(1), "last": Out(1), "down": Out(2), "view": Out(View), "os_pass": Out(os_pass_layout()),
            "ws_valid": Out(1), "ws_pop": In(1), "ws_word": Out(8 * isa.INSTRUCTION_BYTES),
            "value_valid": Out(1), "value": Out(16), "value_pop": In(1), "row": Out(16 * n), "row_pop": In(1),
            "busy": Out(1), "weight_read": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, n = self.cfg, self.cfg.n
        headers = m.submodules.headers = HeaderReader(cfg=cfg)
        values = m.submodules.values = ValueReader(cfg=cfg)

        incoming = self.instr.payload
        is_ws = Signal()
        in_flight = Signal(8)
        word = Signal(8 * isa.INSTRUCTION_BYTES, reset_less=True)
        ws_waiting = Signal()
        prepared = Signal()
        accept = Signal()
        m.d.comb += [
            is_ws.eq(incoming[:8] == isa.BY_NAME["WS"].code),
            self.busy.eq(in_flight != 0),
            self.instr.ready.eq(~headers.active & ~ws_waiting & (~self.busy | (is_ws == self.ws))),
            accept.eq(self.instr.valid & self.instr.ready),
            self.ws_valid.eq(ws_waiting & prepared),
            self.ws_word.eq(word),
        ]
        m.d.sync += [in_flight.eq(in_flight + accept - self.retire), prepared.eq(ws_waiting & ~self.ws_pop)]
        with m.If(accept):
            m.d.sync += [word.eq(incoming), self.ws.eq(is_ws)]
        with m.If(self.ws_pop):
            m.d.sync += ws_waiting.eq(0)
        with m.If(accept & is_ws):
            m.d.sync += ws_waiting.eq(1)

        new_os, new_ws = decode("OS", incoming), decode("WS", incoming)
        m.d.comb += [
            headers.start.eq(accept & ~is_ws), headers.row.eq(new_os.hdr_row), headers.records.eq(new_os.records),
            values.push.eq(accept), values.push_row.eq(new_os.val_row),
            values.push_words.eq(Mux(is_ws, new_ws.tiles * (n * n), new_os.values)),
        ]
        self._prepare(m, word, headers.reach)

        m.d.comb += [
            self.header_valid.eq(headers.valid), headers.pop.eq(self.header_pop), self.offset.eq(headers.offset),
            self.lane.eq(headers.lane), self.kx.eq(headers.kx), self.ky.eq(headers.ky), self.bitmap.eq(headers.bitmap),
            self.first.eq(headers.first), self.last.eq(headers.last), self.down.eq(headers.down), headers.view.eq(self.view),
            self.value_valid.eq(values.valid), self.value.eq(values.word), values.pop_word.eq(self.value_pop),
            self.row.eq(values.row), values.pop_row.eq(self.row_pop),
        ]

        # Fixed time slots instead of arbitration keep the two streams' timing independent of each other.
        odd = Signal()
        m.d.sync += odd.eq(~odd)
        m.d.comb += [
            headers.slot.eq(~odd), values.slot.eq(odd | self.ws),
            self.wt.en.eq(headers.mem_en | values.mem_en),
            self.wt.row.eq(Mux(values.mem_en, values.mem_row, headers.mem_row)),
            headers.mem_data.eq(self.wt.data), values.mem_data.eq(self.wt.data), self.weight_read.eq(self.wt.en),
        ]
        return m

    def _prepare(self, m: Module, word: Value, reach: Signal) -> None:
        """The cycle after the acceptance: products that every record or tile of the instruction needs; what only records need, later."""
        os = decode("OS", word)
        view, pass_ = self.view, self.os_pass
        column = Signal(16)
        seg_start = Signal(16)
        bits = self.cfg.n.bit_length()
        m.d.sync += [
            view.org.eq((os.in_base + os.y0 * os.in_pitch.as_signed() + os.x0)[:16]),
            view.line_step.eq(times_small(os.in_pitch, os.stride_y, 16)),
            view.wrap_step.eq(times_small(os.in_pitch, os.stride_y, 16) - os.wrap_rows),
            view.past.eq(os.y0 - os.wrap_line),
            column.eq(os.seg0 * os.seg_len), seg_start.eq(times_small(column, os.stride_x, 16)),
            pass_.seg_org.eq(view.org + seg_start), pass_.seg_x.eq(os.x0 + seg_start),
            pass_.shifted.eq((os.nrows - 1)[:bits] * os.seg_len[:bits]),
        ]
        m.d.comb += [
            view.y0.eq(os.y0), view.x0.eq(os.x0), view.in_w.eq(os.in_w), view.in_h.eq(os.in_h),
            view.wrap_rows.eq(os.wrap_rows), view.pitch.eq(os.in_pitch),
            view.stride_y.eq(os.stride_y), view.stride_x.eq(os.stride_x),
            reach.eq(Cat(os.segs * lines < os.nrows for lines in self.cfg.shift_lines)), pass_.few_segs.eq(os.segs),
            pass_.last_seg.eq(os.segs - 1), pass_.seg0.eq(os.seg0), pass_.nrows.eq(os.nrows),
            pass_.last_window.eq(os.windows - 1), pass_.seg_step.eq(times_small(os.seg_len, os.stride_x, 9)),
            pass_.bank.eq(os.bank), pass_.fresh.eq(os.first), pass_.pixels.eq(os.pixels),
        ]
        # OS and WS keep the view and the flags in the same places, so one decoding serves both.
        for name in ("in_base", "in_w", "in_h", "in_pitch", "wrap_line", "wrap_rows", "y0", "x0", "bank", "first"):
            if isa.BY_NAME["OS"].field(name) != isa.BY_NAME["WS"].field(name):
                raise ValueError(f"OS and WS must keep field {name} in the same place")
