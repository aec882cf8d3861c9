"""POOL: maximum or average over windows of a feature map, from activation buffer to activation buffer; products and function tables."""

import dataclasses
import functools
from collections.abc import Mapping
from types import SimpleNamespace

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.hdl._ast import Assign
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.buffer.ports import AccessInterface, ReadPort, WritePort
from squeezelerator.rtl.control.decode import decode
from squeezelerator.rtl.postprocess.functions import FunctionDatapath, PoolMode
from squeezelerator.rtl.postprocess.requantiser import REQUANTISER_LATENCY, Requantiser
from squeezelerator.rtl.primitives.delay import copies, delayed
from squeezelerator.rtl.primitives.events import event_ports
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec import isa
from squeezelerator.spec.constants.units import FUNCTION_STAGES
from squeezelerator.spec.machine import MachineConfig

__all__ = ["PoolUnit"]

#: Bits of a window's sum: at most 31 * 31 words of 16 bits.
SUM_BITS = 26
#: Low bits of it that are multiplied by themselves: what an FPGA's multiplier takes. The two products are added a cycle later.
LOW_BITS = 17


@dataclasses.dataclass(frozen=True)
class _Walk:
    """When rows of a map begin: ``setup`` of an instruction, ``block_done`` and ``row_done`` of output blocks and lines; line ``oy``."""

    setup: Signal
    block_done: Signal
    row_done: Signal
    oy: Signal

    def rows(self, m: Module, f: SimpleNamespace, prefix: str, tag: str = "") -> Signal:
        """Row of column 0 of output line ``oy`` in the map of the fields ``{prefix}_base`` and so on; ``tag``: before names of signals."""
        base, pitch, plane, wrap_line, wrap_rows = (
            getattr(f, f"{prefix}_{name}") for name in ("base", "pitch", "plane", "wrap_line", "wrap_rows"))
        row = Signal(16, name=f"{prefix}_row")
        block_row = Signal(16, name=f"{prefix}_block_row")
        # Both wraps are known before it is known which of them counts.
        first_wrapped = Mux(wrap_line == 0, wrap_rows, 0)
        before_wrap = Signal(16, name=f"{tag}before_wrap")
        wrap_step = Signal(16, name=f"{tag}wrap_step")
        m.d.sync += [before_wrap.eq(wrap_line - 1), wrap_step.eq(pitch - wrap_rows)]
        start = Signal(16, name=f"{prefix}_start")
        m.d.comb += start.eq(Mux(self.setup, base, block_row + plane))
        with m.If(self.setup | self.block_done):
            m.d.sync += [block_row.eq(start), row.eq(start - first_wrapped)]
        with m.Elif(self.row_done):
            m.d.sync += row.eq(row + Mux(self.oy == before_wrap, wrap_step, pitch))
        return row


class PoolUnit(wiring.Component):
    """Executes POOL, and in machines with functions MUL, LOOKUP and TABLE: one position a cycle, N channels at a time.

    Positions outside the input take their cycle but read nothing; a maximum ignores them (of no position at all it is
    -32768), in an average they count as 0: ``sat16((sum * mult + round) >> shift)``, rounded as in Requantiser.

    Accepted in cycle t, an instruction visits ``blocks * out_h * out_w * kh * kw`` positions in the cycles t+3, t+4, ...; in
    the cycle of the last position, t + 2 + positions, the next instruction is accepted. The write of a window follows 10 cycles
    after its last position; the last one comes with the retire pulse. Of MUL, LOOKUP and TABLE see ``rtl.postprocess.functions``; with
    them every write comes two cycles later.

    Parameters
    ----------
    cfg : MachineConfig
        The machine.

    Members
    -------
    instr : stream of instruction words whose tickets are satisfied.
    retire : 1 in the cycle of the instruction's last write.
    rd, wr : ports of the activation buffer.
    ev_* : words of each kind that are used in this cycle (see ``events``).
    """

    instr: stream.Interface
    retire: Signal
    rd: AccessInterface
    wr: AccessInterface
    ev_act_read_words: Signal
    ev_act_write_words: Signal

    @staticmethod
    def events(cfg: MachineConfig) -> dict[str, ShapeLike]:
        """Counted events and the width of their increments."""
        return {"act_read_words": 6, "act_write_words": 6}

    def __init__(self, *, cfg: MachineConfig) -> None:
        self._cfg = check_config("PoolUnit", cfg)
        super().__init__({
            "instr": In(stream.Signature(8 * isa.INSTRUCTION_BYTES)),
            "retire": Out(1),
            "rd": Out(ReadPort(cfg.n)),
            "wr": Out(WritePort(cfg.n)),
            **event_ports(self.events(cfg)),
        })

    @property
    def cfg(self) -> MachineConfig:
        """The machine."""
        return self._cfg

    @property
    def write_offset(self) -> int:
        """Cycles from the last position of a window to its write: request, word, sum, product, requantiser."""
        return 1 + self._cfg.read_latency + 1 + 1 + 1 + REQUANTISER_LATENCY + (FUNCTION_STAGES if self._cfg.functions else 0)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self._cfg.n
        word = Signal.like(self.instr.payload, reset_less=True)
        f = decode("POOL", word)
        mode = PoolMode(m, word, f) if self._cfg.functions else None
        loops, across = (mode, ~mode.mul) if mode else (f, 1)

        busy = Signal()
        multiply = Signal()
        setup = Signal()
        step = Signal()
        next_step = Signal()
        last = Signal()
        m.d.comb += [self.instr.ready.eq(~busy | last)]
        m.d.sync += [multiply.eq(0), setup.eq(multiply)]
        with m.If(self.instr.valid & self.instr.ready):
            m.d.sync += [word.eq(self.instr.payload), busy.eq(1), multiply.eq(1)]
        with m.Elif(last):
            m.d.sync += busy.eq(0)
        with m.If(setup):
            m.d.comb += next_step.eq(1)
        with m.Elif(last):
            m.d.comb += next_step.eq(0)
        with m.Else():
            m.d.comb += next_step.eq(step)
        m.d.sync += step.eq(next_step)

        # -- the loops: kx, ky, ox, oy, block ---------------------------------------------------------------------
        kx = Signal(5)
        ky = Signal(5)
        ox = Signal(16)
        oy = Signal(16)
        block = Signal(16)
        x = Signal(signed(19))
        x_window = Signal(signed(19))
        y = Signal(signed(19))
        y_window = Signal(signed(19))
        # Buffer rows of column 0, before the ring's wrap: in this line, in the window's first line, in the block's first.
        line_row = Signal(16)
        window_row = Signal(16)
        block_row = Signal(16)
        first_offset = Signal(16)
        line_step = Signal(16)

        count, restart, next_ends, (line_end, window_end, row_end, block_end, _) = _loops(m, {
            "kx": (kx, loops.kw), "ky": (ky, loops.kh), "ox": (ox, loops.out_w), "oy": (oy, loops.out_h), "block": (block, loops.blocks)})
        move = functools.partial(_move, m)
        line_done = Signal()
        window_done = Signal()
        row_done = Signal()
        block_done = Signal()
        m.d.comb += [line_done.eq(step & line_end), window_done.eq(step & window_end), row_done.eq(step & row_end),
                     block_done.eq(step & block_end)]  # fmt: skip
        # The last position is known a cycle ahead: the next instruction is accepted in its cycle.
        m.d.sync += last.eq(next_step & Cat(next_ends).all())
        m.d.sync += [first_offset.eq(f.y0 * f.in_pitch), line_step.eq(f.in_pitch * f.stride_y)]
        with m.If(step):
            move(count[0])
            # Both positions of a product have one column.
            m.d.sync += x.eq(x + across)
        with m.If(line_done):
            move(restart[0], count[1])
            m.d.sync += [x.eq(x_window), y.eq(y + 1), line_row.eq(line_row + f.in_pitch)]
        with m.If(window_done):
            x_next = x_window + f.stride_x
            move(restart[1], count[2])
            m.d.sync += [y.eq(y_window), line_row.eq(window_row), x.eq(x_next), x_window.eq(x_next)]
        with m.If(row_done):
            y_next, row_next = y_window + f.stride_y, window_row + line_step
            move(restart[2], count[3])
            m.d.sync += [
                x.eq(f.x0), x_window.eq(f.x0), y.eq(y_next), y_window.eq(y_next),
                line_row.eq(row_next), window_row.eq(row_next),
            ]
        with m.If(block_done | setup):
            start = Signal(16)
            m.d.comb += start.eq(Mux(setup, f.in_base + first_offset, block_row + f.in_plane))
            move(restart[3], count[4])
            m.d.sync += [
                y.eq(f.y0), y_window.eq(f.y0),
                line_row.eq(start), window_row.eq(start), block_row.eq(start),
            ]
        with m.If(setup):
            move(restart[0], restart[1], restart[2], restart[4])
            m.d.sync += [x.eq(f.x0), x_window.eq(f.x0)]

        # -- reads ------------------------------------------------------------------------------------------------
        walk = _Walk(setup, block_done, row_done, oy)
        inside = Signal()
        m.d.comb += inside.eq((x >= 0) & (x < f.in_w) & (y >= 0) & (y < f.in_h))
        read, row = step & inside, line_row + x - Mux(y >= f.wrap_line, f.wrap_rows, 0)
        if mode:
            other = decode("MUL", word)
            second = mode.mul & (kx == 0)
            read = step & ((inside & ~mode.table) | second)
            row = Mux(second, walk.rows(m, other, "other", "other_") + Mux(other.broadcast, 0, ox), row)
        m.d.sync += [self.rd.en.eq(read), self.rd.row.eq(row)]
        m.d.comb += [self.rd.mask.eq((1 << n) - 1), self.ev_act_read_words.eq(Mux(self.rd.en, n, 0))]

        # -- windows ----------------------------------------------------------------------------------------------
        # The buffer rotates its words behind its last register, so they are kept for a cycle before they are used.
        arrival = 1 + self._cfg.read_latency + 1
        functions = FunctionDatapath(m, word, mode, arrival) if mode else None
        started = delayed(m, step & (kx == 0) & (ky == 0), arrival, "started")
        present = delayed(m, self.rd.en, self._cfg.read_latency, "present")
        here = delayed(m, step, arrival, "here")
        early_average = delayed(m, mode.sums(f.kind) if mode else f.kind == isa.POOL_AVG, arrival - 1, "average", reset_less=True)
        average = delayed(m, early_average, 1, "late_average", reset_less=True)
        early_neutral = Signal(signed(16))
        neutral = Signal(signed(16))
        m.d.comb += [early_neutral.eq(Mux(early_average, 0, -32768)), neutral.eq(Mux(average, 0, -32768))]
        # A maximum goes the same way as a sum, times 1 and shifted by 0.
        scale = Signal(16)
        shift = Signal(6)
        common = Mux(average, delayed(m, f.mult, arrival, "mult", reset_less=True), 1)
        m.d.sync += [
            scale.eq(common),
            shift.eq(Mux(average, delayed(m, f.shift, arrival, "shift", reset_less=True), 0)),
        ]
        if functions and mode:
            functions.fill(step & mode.table, kx)
            shift = delayed(m, shift, FUNCTION_STAGES, "late_shift", reset_less=True)
        coarse = copies(m, shift[3:6], n, "coarse", reset_less=True)
        fine = copies(m, delayed(m, shift[0:3], 1, "fine", reset_less=True), n, "fine", reset_less=True)
        for lane in range(n):
            data = Signal(signed(16), name=f"data{lane}", reset_less=True)
            total = Signal(signed(SUM_BITS), name=f"total{lane}", reset_less=True)
            before = Signal(signed(SUM_BITS), name=f"before{lane}")
            m.d.sync += data.eq(Mux(present, self.rd.data[16 * lane : 16 * lane + 16].as_signed(), early_neutral))
            m.d.comb += before.eq(Mux(started | functions.mul if functions else started, neutral, total))
            with m.If(here):
                m.d.sync += total.eq(Mux(average, before + data, Mux(before > data, before, data)))
            if functions:
                product = functions.product(lane, total, functions.factor(lane, started, data, common), LOW_BITS)
            else:
                product = _scaled(m, lane, total, scale)
            m.submodules[f"requantiser{lane}"] = requantiser = Requantiser(width=len(product))
            m.d.comb += [
                requantiser.value.eq(product), requantiser.coarse.eq(coarse[lane]), requantiser.fine.eq(fine[lane]),
                self.wr.data[16 * lane : 16 * lane + 16].eq(requantiser.result),
            ]

        # -- writes -----------------------------------------------------------------------------------------------
        target = Signal(16)
        m.d.sync += target.eq(walk.rows(m, f, "out") + ox)
        written = window_done & ~mode.table if mode else window_done
        m.d.comb += [
            self.wr.en.eq(delayed(m, written, self.write_offset, "written")),
            self.wr.row.eq(delayed(m, target, self.write_offset - 1, "target", reset_less=True)),
            self.wr.mask.eq((1 << n) - 1),
            self.ev_act_write_words.eq(Mux(self.wr.en, n, 0)),
            self.retire.eq(delayed(m, last, self.write_offset, "done")),
        ]
        return m


#: Assignments that let a counter count or restart, and those that say whether it then stands at its end.
_Moves = tuple[list[Assign], list[Assign]]


def _move(m: Module, *moves: _Moves) -> None:
    """Let counters count or restart."""
    for counters, ends in moves:
        m.d.sync += counters
        m.d.comb += ends


def _loops(m: Module, bounds: Mapping[str, tuple[Signal, Value]]) -> tuple[list[_Moves], list[_Moves], list[Signal], list[Signal]]:
    """Counters of nested loops, {name: (counter, bound)} from the innermost on.

    Bounds are cut to their counters' widths, so that even a senseless instruction comes to its end. That a counter stands at its end is
    kept in a register beside it, because the five of them decide together about everything.

    Returns
    -------
    tuple
        What lets each count; what restarts each; whether each stands at its end in the next cycle; whether it and all inside of it do now.
    """
    next_ends, all_ends = [], []
    count, restart = [], []
    for name, (counter, bound) in bounds.items():
        end, next_end, alone = (Signal(name=f"{name}_{what}") for what in ("end", "next_end", "alone"))
        before = Signal.like(counter, name=f"{name}_before_end")
        m.d.sync += [before.eq(bound - 2), alone.eq(bound == 1), end.eq(next_end)]
        m.d.comb += next_end.eq(end)
        next_ends.append(next_end)
        # All counters so far stand at their ends.
        done = Signal(name=f"{name}_done")
        m.d.sync += done.eq(Cat(next_ends).all())
        all_ends.append(done)
        count.append(([counter.eq(counter + 1)], [next_end.eq(counter == before)]))
        restart.append(([counter.eq(0)], [next_end.eq(alone)]))
    return count, restart, next_ends, all_ends


def _scaled(m: Module, lane: int, total: Signal, scale: Signal) -> Value:
    """``total`` times ``scale``, a cycle later."""
    low = Signal(LOW_BITS + 16, name=f"low_product{lane}", reset_less=True)
    high = Signal(signed(SUM_BITS - LOW_BITS + 16), name=f"high_product{lane}", reset_less=True)
    product = Signal(signed(SUM_BITS + 16), name=f"product{lane}")
    m.d.sync += [low.eq(total[:LOW_BITS] * scale), high.eq(total[LOW_BITS:].as_signed() * scale)]
    m.d.comb += product.eq(Cat(low[:LOW_BITS], (high + low[LOW_BITS:])[: SUM_BITS + 16 - LOW_BITS]))
    return product
