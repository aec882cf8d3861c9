"""DRAIN: partial sums of a register-file bank through post-processing into the activation buffer."""

from amaranth.hdl import Array, Cat, Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.buffer.ports import (
    DRAIN_LATENCY,
    ROW_READ_LATENCY,
    AccessInterface,
    DrainInterface,
    DrainPort,
    ReadPort,
    RowInterface,
    RowReadPort,
    WritePort,
)
from squeezelerator.rtl.control.decode import decode
from squeezelerator.rtl.postprocess.post import POST_LATENCY, RESIDUAL_OFFSET, Post
from squeezelerator.rtl.primitives.delay import delayed
from squeezelerator.rtl.primitives.events import event_ports
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig

__all__ = ["DrainUnit"]

#: Cycles from a step of the sequencer to its request on ``acc``. The two rows of biases are asked for in the step that begins
#: a channel block and in the cycle after it, and their words selected and registered before the sums come.
REQUEST = 1
#: ... to the partial sums, to the residual request, to the write.
SUMS = REQUEST + DRAIN_LATENCY
BIAS_SELECT = SUMS - 1


class DrainUnit(wiring.Component):
    """Executes DRAIN: one row or column of N results a cycle.

    Accepted in cycle t, an instruction takes steps in the cycles t+2, t+3, ...: one for each channel and array row (OS) or
    for each pixel (WS), and one empty cycle if the first channel block has a single step and is not the only one (its
    second row of biases). Its last step is in cycle t + 1 + steps; in that cycle the next instruction is accepted. Every step's
    write follows 11 cycles later, and the last one comes with the retire pulse.

    Parameters
    ----------
    cfg : MachineConfig
        The machine; of it ``n`` (2 to 32: words of a step), ``acc_bits`` (34 to 48), ``rf`` (4 to 64) and ``read_latency`` (cycles).

    Members
    -------
    instr : stream of instruction words (64 bytes) whose tickets are satisfied.
    retire : 1 in the cycle of the instruction's last write.
    acc : :class:`~rtl.buffer.ports.DrainPort` of the array: N partial sums, asked for 1 cycle after the step.
    bias : :class:`~rtl.buffer.ports.RowReadPort` of the bias buffer: the low halves of a channel block's N biases, then the high ones.
    res : :class:`~rtl.buffer.ports.ReadPort` of the activation buffer for the residual.
    out : :class:`~rtl.buffer.ports.WritePort` of the activation buffer for the results.
    ev_rf_words, ev_act_read_words, ev_act_write_words : words of each kind that are used in this cycle, 0 to n (see ``events``).
    """

    instr: stream.Interface
    retire: Signal
    acc: DrainInterface
    bias: RowInterface
    res: AccessInterface
    out: AccessInterface
    ev_rf_words: Signal
    ev_act_read_words: Signal
    ev_act_write_words: Signal

    #: Cycles from a step to its write.
    WRITE_OFFSET = SUMS + POST_LATENCY

    @staticmethod
    def events(cfg: MachineConfig) -> dict[str, ShapeLike]:
        """Counted events and the width of their increments."""
        return {"rf_words": 6, "act_read_words": 6, "act_write_words": 6}

    def __init__(self, *, cfg: MachineConfig) -> None:
        self._cfg = check_config("DrainUnit", cfg)
        super().__init__({
            "instr": In(stream.Signature(8 * isa.INSTRUCTION_BYTES)),
            "retire": Out(1),
            "acc": Out(DrainPort(cfg.n, cfg.acc_bits, cfg.rf)),
            "bias": Out(RowReadPort(cfg.n)),
            "res": Out(ReadPort(cfg.n)),
            "out": Out(WritePort(cfg.n)),
            **event_ports(self.events(cfg)),
        })

    @property
    def cfg(self) -> MachineConfig:
        """The machine."""
        return self._cfg

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self._cfg.n
        word = Signal.like(self.instr.payload, reset_less=True)
        f = decode("DRAIN", word)
        ws = f.mode == isa.MODE_WS

        busy = Signal()
        setup = Signal()
        filler = Signal()
        step = Signal()
        last = Signal()
        m.d.comb += [step.eq(busy & ~setup & ~filler), self.instr.ready.eq(~busy | last)]
        m.d.sync += setup.eq(0)
        with m.If(self.instr.valid & self.instr.ready):
            m.d.sync += [word.eq(self.instr.payload), busy.eq(1), setup.eq(1)]
        with m.Elif(last):
            m.d.sync += busy.eq(0)

        # -- the loops ------------------------------------------------------------------------------------------
        k = Signal(6)
        i = Signal(5)
        lane = Signal(5)
        line = Signal(16)
        seg = Signal(12)
        col = Signal(18)
        col_start = Signal(18)
        bias_row = Signal(16)
        new_block = Signal()
        # Bounds are cut to their counters' widths, so that even a senseless instruction comes to its end.
        last_i, last_seg, last_col, last_line, last_k = (Signal(width, name=f"last_{name}") for width, name in (
            (5, "i"), (12, "seg"), (16, "col"), (16, "line"), (6, "k")))
        m.d.sync += [
            last_i.eq(Mux(ws, n - 1, f.nrows - 1)), last_seg.eq(f.segs - 1), last_col.eq(f.out_w - 1), last_line.eq(f.out_h - 1),
            last_k.eq(f.entry0 + f.channels - 1),
        ]
        row_last = i == last_i
        line_end = Mux(ws, col[:16] == last_col, seg == last_seg)
        next_channel = Signal()
        next_block = Signal()
        next_line = Signal()
        m.d.comb += [
            last.eq(step & Mux(ws, line_end & (line == last_line), row_last & (k == last_k))),
            next_channel.eq(step & ~ws & row_last),
            next_block.eq(next_channel & (lane == n - 1)),
            next_line.eq(step & line_end),
        ]
        with m.If(step):
            m.d.sync += [i.eq(Mux(row_last, 0, i + 1)), k.eq(k + row_last), new_block.eq(0)]
            with m.If(line_end):
                m.d.sync += [col.eq(0), seg.eq(0), line.eq(line + 1)]
            with m.Else():
                m.d.sync += [col.eq(col + Mux(ws, 1, f.seg_len)), seg.eq(seg + 1)]
        with m.If(next_channel):
            m.d.sync += [col.eq(col_start), seg.eq(f.seg0), line.eq(0), lane.eq(Mux(next_block, 0, lane + 1))]
        m.d.sync += filler.eq(0)
        with m.If(next_block):
            m.d.sync += [bias_row.eq(bias_row + 2), new_block.eq(1), filler.eq(new_block & ~last)]
        with m.If(setup):
            first_col = Signal.like(col)
            m.d.comb += first_col.eq(Mux(ws, 0, f.seg0 * f.seg_len))
            m.d.sync += [
                k.eq(f.entry0), i.eq(0), lane.eq(f.lane0), line.eq(0), seg.eq(f.seg0), col.eq(first_col), col_start.eq(first_col),
                bias_row.eq(f.bias_row), new_block.eq(1),
            ]

        rows = {}
        for name in ("out", "res"):
            base, pitch, plane, wrap_line, wrap_rows = (
                getattr(f, f"{name}_{field}") for field in ("base", "pitch", "plane", "wrap_line", "wrap_rows"))
            # Row of column 0 in the first line of this block, and in this line.
            block_row = Signal(16, name=f"{name}_block_row")
            line_row = Signal(16, name=f"{name}_line_row")
            # Both wraps are known before it is known which of them counts.
            first_wrapped = Mux(wrap_line == 0, wrap_rows, 0)
            before_wrap = Signal(16, name=f"{name}_before_wrap")
            wrap_step = Signal(16, name=f"{name}_wrap_step")
            m.d.sync += [before_wrap.eq(wrap_line - 1), wrap_step.eq(pitch - wrap_rows)]
            start = Signal(16, name=f"{name}_start")
            m.d.comb += start.eq(Mux(setup, base - first_wrapped, Mux(next_block, block_row + plane, block_row)))
            with m.If(setup | next_channel):
                m.d.sync += [block_row.eq(start), line_row.eq(start)]
            with m.Elif(next_line):
                m.d.sync += line_row.eq(line_row + Mux(line == before_wrap, wrap_step, pitch))
            rows[name] = Signal(16, name=f"{name}_row")
            m.d.sync += rows[name].eq(line_row + col)

        # Words in use: what is left of the line, at most a segment.
        count = Signal(6)
        left = f.out_w - col
        m.d.sync += count.eq(Mux(ws, n, Mux(left <= 0, 0, Mux(left < f.seg_len, left, f.seg_len))))

        # -- partial sums ---------------------------------------------------------------------------------------
        m.d.comb += [
            self.acc.en.eq(delayed(m, step, REQUEST, "acc_en")),
            self.acc.bank.eq(delayed(m, f.bank, REQUEST, "acc_bank", reset_less=True)),
            self.acc.k.eq(delayed(m, k, REQUEST, "acc_k", reset_less=True)),
            self.acc.row.eq(delayed(m, i, REQUEST, "acc_row", reset_less=True)),
        ]

        # -- biases ---------------------------------------------------------------------------------------------
        ask_low = Signal()
        m.d.comb += ask_low.eq(step & new_block)
        ask_high = delayed(m, ask_low, 1, "ask_high")
        high_row = Signal(16)
        m.d.sync += high_row.eq(bias_row + 1)
        m.d.comb += [self.bias.en.eq(ask_low | ask_high), self.bias.row.eq(Mux(ask_high, high_row, bias_row))]
        low = Signal(16 * n, reset_less=True)
        biases = Signal(32 * n, reset_less=True)
        with m.If(delayed(m, ask_low, ROW_READ_LATENCY, "have_low")):
            m.d.sync += low.eq(self.bias.data)
        with m.If(delayed(m, ask_high, ROW_READ_LATENCY, "have_high")):
            m.d.sync += biases.eq(Cat(
                Cat(low[16 * j : 16 * j + 16], self.bias.data[16 * j : 16 * j + 16]) for j in range(n)))
        channel = delayed(m, lane, BIAS_SELECT, "channel", reset_less=True)
        own = Signal(32)
        m.d.comb += own.eq(Array(biases[32 * j : 32 * j + 32] for j in range(n))[channel])
        selected = Signal(32 * n, reset_less=True)
        m.d.sync += selected.eq(Mux(delayed(m, ws, BIAS_SELECT, "per_channel", reset_less=True), biases, own.replicate(n)))

        # -- post-processing ------------------------------------------------------------------------------------
        m.submodules.post = post = Post(cfg=self._cfg)
        m.d.comb += [post.acc.eq(self.acc.data), post.bias.eq(selected), post.res.eq(self.res.data)]
        for name in ("shift", "act", "parm", "residual", "post_act", "post_parm"):
            m.d.comb += getattr(post, name).eq(delayed(m, getattr(f, name), SUMS, name, reset_less=True))

        # -- residual and results -------------------------------------------------------------------------------
        res_offset = SUMS + RESIDUAL_OFFSET - self._cfg.read_latency
        between = self.WRITE_OFFSET - res_offset
        res_step = delayed(m, step, res_offset, "res_step")
        res_count = delayed(m, count, res_offset - 1, "res_count", reset_less=True)
        out_count = delayed(m, res_count, between, "out_count", reset_less=True)
        column = delayed(m, ~ws, res_offset, "column", reset_less=True)
        res_lane = delayed(m, lane, res_offset, "res_lane", reset_less=True)
        m.d.comb += [
            self.res.en.eq(res_step & delayed(m, f.residual, res_offset, "res_wanted")),
            self.res.row.eq(delayed(m, rows["res"], res_offset - 1, "res_row", reset_less=True)),
            self.res.col.eq(column),
            self.res.lane.eq(res_lane),
            self.res.mask.eq(Cat(j < res_count for j in range(n))),
            self.out.en.eq(delayed(m, res_step, between, "out_step")),
            self.out.row.eq(delayed(m, rows["out"], self.WRITE_OFFSET - 1, "out_row", reset_less=True)),
            self.out.col.eq(delayed(m, column, between, "out_col", reset_less=True)),
            self.out.lane.eq(delayed(m, res_lane, between, "out_lane", reset_less=True)),
            self.out.mask.eq(Cat(j < out_count for j in range(n))),
            self.out.data.eq(post.data),
            self.retire.eq(delayed(m, last, self.WRITE_OFFSET, "done")),
            self.ev_rf_words.eq(Mux(self.acc.en, delayed(m, count, REQUEST - 1, "acc_count"), 0)),
            self.ev_act_read_words.eq(Mux(self.res.en, res_count, 0)),
            self.ev_act_write_words.eq(Mux(self.out.en, out_count, 0)),
        ]
        return m
