"""LOAD: from DRAM to the activation, weight or bias buffer."""

import dataclasses

from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.buffer.ports import AccessInterface, RowInterface, RowWritePort, WritePort
from squeezelerator.rtl.control.decode import decode
from squeezelerator.rtl.control.faults import CODE, FaultPort, FaultReport
from squeezelerator.rtl.dma.axi import BurstRequest, ReadBeat, ReadBeatPort
from squeezelerator.rtl.dma.bursts import BurstGenerator
from squeezelerator.rtl.dma.unpack import Unpacker
from squeezelerator.rtl.primitives.delay import delayed
from squeezelerator.rtl.primitives.events import event_ports
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec import isa
from squeezelerator.spec.constants.dma import UNPACK_CYCLES
from squeezelerator.spec.machine import MachineConfig

__all__ = ["LoadUnit"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowWrite:
    """A buffer row to be written: ``write`` in its cycle, ``mem`` (which memory), ``row`` and ``words``."""

    write: Signal
    mem: Signal
    row: Signal
    words: Signal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Received:
    """The beat that comes in this cycle: its job ``now``, and whether a row, a job or the time to take the next job ends with it."""

    now: data.View
    row_ends: Signal
    job_ends: Signal
    next_job: Signal


class LoadUnit(wiring.Component):
    """Executes LOAD instructions, asking for the next one's data while this one's is still on its way.

    An instruction accepted in cycle t asks for its first burst in t + 1 and for one a cycle as long as fewer than
    ``cfg.outstanding`` are in flight (a burst's last beat in cycle t makes room in t + 1). The next instruction is accepted from
    the cycle after the last request on. A row whose last beat comes in cycle t is written in t + 1, on a machine that
    unpacks weights in t + 1 + UNPACK_CYCLES; the last row's write and ``retire`` share a cycle (packed weights may end before the
    last beat). Throughput: one beat a cycle.

    Parameters
    ----------
    cfg : MachineConfig
        The machine; of it ``n`` (2 to 32: words of a buffer row), ``bus_bits``, ``burst_beats`` (beats), ``outstanding`` (bursts in
        flight), and the rows of the three buffers.

    Members
    -------
    instr : stream of instruction words (64 bytes) whose tickets are satisfied.
    retire : 1 in the cycle of the instruction's last write.
    mem_size : bytes of the program's memory.
    retired : instructions retired, modulo 65536, for reports of faults.
    request : stream of AXI reads, :class:`~rtl.dma.axi.BurstRequest`.
    r : their beats, :class:`~rtl.dma.axi.ReadBeat`, in the order of the requests.
    act : :class:`~rtl.buffer.ports.WritePort` of the activation buffer, row access.
    weight, bias : :class:`~rtl.buffer.ports.RowWritePort` of the weight and the bias buffer.
    fault : :class:`~rtl.control.faults.FaultPort`: an address or a buffer row that is not acceptable, a read error.
    ev_dram_read_words, ev_act_write_words, ev_weight_write_words, ev_bias_write_words : words of each kind in this cycle (see ``events``).
    """

    instr: stream.Interface
    retire: Signal
    mem_size: Signal
    retired: Signal
    request: stream.Interface
    r: ReadBeatPort
    act: AccessInterface
    weight: RowInterface
    bias: RowInterface
    fault: FaultReport
    ev_dram_read_words: Signal
    ev_act_write_words: Signal
    ev_weight_write_words: Signal
    ev_bias_write_words: Signal

    @staticmethod
    def events(cfg: MachineConfig) -> dict[str, ShapeLike]:
        """Counted events and the width of their increments."""
        return {"dram_read_words": 5, "act_write_words": 6, "weight_write_words": 6, "bias_write_words": 6}

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("LoadUnit", cfg)
        super().__init__({
            "instr": In(stream.Signature(512)),
            "retire": Out(1),
            "mem_size": In(32),
            "retired": In(16),
            "request": Out(stream.Signature(BurstRequest())),
            "r": In(ReadBeat(cfg.bus_bits)),
            "act": Out(WritePort(cfg.n)),
            "weight": Out(RowWritePort(cfg.n)),
            "bias": Out(RowWritePort(cfg.n)),
            "fault": Out(FaultPort()),
            **event_ports(self.events(cfg)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        fields = decode("LOAD", self.instr.payload)
        accept = Signal()

        # Asking, unless FETCH is about to halt the machine because of this instruction. The generator walks one instruction; ``flying``
        # counts bursts whose last beat has not come.
        m.submodules.bursts = bursts = BurstGenerator(
            cfg=cfg, max_beats=cfg.burst_beats, beats_width=16 + (cfg.row_beats - 1).bit_length())
        flying = Signal(range(cfg.outstanding + 1))
        acceptable = (fields.rows != 0) & (fields.lines != 0)
        if not cfg.unpacks:
            acceptable &= fields.mem != isa.MEM_PACKED
        m.d.comb += [
            self.instr.ready.eq(~bursts.busy),
            accept.eq(self.instr.valid & self.instr.ready),
            bursts.start.eq(accept), bursts.any.eq(acceptable),
            bursts.offset.eq(fields.dram),
            bursts.line_beats.eq(fields.rows * cfg.row_beats),
            bursts.lines.eq(fields.lines),
            bursts.pitch.eq(fields.dram_pitch),
            bursts.limit.eq(self.mem_size),
            bursts.enable.eq(flying != cfg.outstanding),
        ]
        wiring.connect(m, bursts.request, wiring.flipped(self.request))
        m.d.sync += flying.eq(flying + (self.request.valid & self.request.ready) - (self.r.valid & self.r.last))

        # Instructions whose data has been asked for wait here for it. Each has a burst in flight, except the one at work, the one
        # still asking and one just complete, so the queue cannot be full.
        job = data.StructLayout({"mem": 2, "row": 16, "rows": 16, "lines": 16, "row_pitch": 16})
        m.submodules.jobs = jobs = fifo.SyncFIFO(width=job.size, depth=cfg.outstanding + 4)
        m.d.comb += [
            jobs.w_data.eq(Cat(getattr(fields, name) for name in job.members)),
            jobs.w_en.eq(accept & acceptable),
        ]

        # Receiving: ``now`` is the job that the next beat belongs to.
        now = Signal(job)
        line_row = Signal(16)
        rows_left = Signal(16)
        active = Signal()
        row_ends = Signal()
        line_ends = Signal()
        job_ends = Signal()
        next_job = data.View(job, jobs.r_data)
        m.d.comb += [
            line_ends.eq(row_ends & (rows_left == 1)),
            job_ends.eq(line_ends & (now.lines == 1)),
            jobs.r_en.eq(~active | job_ends),
        ]
        with m.If(row_ends):
            m.d.sync += [now.row.eq(now.row + 1), rows_left.eq(rows_left - 1)]
        with m.If(line_ends):
            m.d.sync += [
                now.row.eq(line_row + now.row_pitch),
                line_row.eq(line_row + now.row_pitch),
                rows_left.eq(now.rows),
                now.lines.eq(now.lines - 1),
            ]
        with m.If(jobs.r_en):
            m.d.sync += active.eq(jobs.r_rdy)
            with m.If(jobs.r_rdy):
                m.d.sync += [now.eq(next_job), line_row.eq(next_job.row), rows_left.eq(next_job.rows)]

        # Beats are counted, gathered to rows, and these written.
        if cfg.row_beats == 1:
            m.d.comb += row_ends.eq(self.r.valid)
        else:
            beat = Signal(range(cfg.row_beats))
            m.d.comb += row_ends.eq(self.r.valid & (beat == cfg.row_beats - 1))
            with m.If(self.r.valid):
                m.d.sync += beat.eq(Mux(row_ends, 0, beat + 1))
        write = Signal()
        mem = Signal(2)
        row = Signal(16)
        words = Signal(16 * cfg.n)
        written = RowWrite(write=write, mem=mem, row=row, words=words)
        received = Received(now=now, row_ends=row_ends, job_ends=job_ends, next_job=jobs.r_en)
        error = (self._unpack if cfg.unpacks else self._gather)(m, received, written)
        bad_row = Signal()
        ports = ((isa.MEM_ACT, self.act, cfg.act_rows, "act"), (isa.MEM_WEIGHT, self.weight, cfg.weight_rows, "weight"),
                 (isa.MEM_BIAS, self.bias, cfg.bias_rows, "bias"))
        for number, port, rows, name in ports:
            with m.If(write & (mem == number)):
                m.d.comb += [
                    bad_row.eq(row >= rows),
                    port.en.eq(row < rows),
                    getattr(self, f"ev_{name}_write_words").eq(cfg.n),
                ]
            m.d.comb += [port.row.eq(row), port.data.eq(words)]
        m.d.comb += self.act.mask.eq(Const(-1, cfg.n))
        m.d.comb += self.ev_dram_read_words.eq(Mux(self.r.valid, cfg.bus_words, 0))

        m.d.comb += [
            self.fault.valid.eq(bursts.fault | bad_row | error),
            self.fault.detail.eq(Mux(bursts.fault, self.request.payload.offset, self.retired)),
            self.fault.code.eq(CODE["ADDRESS"]),
        ]
        with m.If(bursts.fault):
            m.d.comb += self.fault.code.eq(CODE["ADDRESS"])
        with m.Elif(bad_row):
            m.d.comb += self.fault.code.eq(CODE["ROW"])
        with m.Else():
            m.d.comb += self.fault.code.eq(CODE["READ"])
        return m

    def _gather(self, m: Module, received: Received, written: RowWrite) -> Value:
        """Drive ``written`` from the beats, on a machine without packed weights; returns whether a beat came with an error."""
        cfg, now, row_ends, job_ends = self.cfg, received.now, received.row_ends, received.job_ends
        write, mem, row, words = written.write, written.mem, written.row, written.words
        whole = self.r.data
        if cfg.row_beats > 1:
            held = Signal((cfg.row_beats - 1) * cfg.bus_bits)
            whole = Cat(held, self.r.data)
            with m.If(self.r.valid):
                m.d.sync += held.eq(whole[cfg.bus_bits :])
        m.d.sync += [write.eq(row_ends), self.retire.eq(job_ends)]
        with m.If(row_ends):
            m.d.sync += [mem.eq(now.mem), row.eq(now.row), words.eq(whole)]
        return self.r.valid & self.r.error

    def _unpack(self, m: Module, received: Received, written: RowWrite) -> Value:
        """The same through an unpacker: all of it UNPACK_CYCLES later."""
        now, row_ends, job_ends = received.now, received.row_ends, received.job_ends
        write, mem, row, words = written.write, written.mem, written.row, written.words
        packed = Signal()
        first = Signal()
        with m.If(self.r.valid):
            m.d.sync += first.eq(0)
        with m.If(received.next_job):
            m.d.sync += first.eq(1)
        m.submodules.unpacker = unpacker = Unpacker(cfg=self.cfg)
        m.d.comb += [
            packed.eq(now.mem == isa.MEM_PACKED),
            unpacker.valid.eq(self.r.valid), unpacker.data.eq(self.r.data),
            unpacker.packed.eq(packed), unpacker.first.eq(first), unpacker.ends.eq(row_ends), unpacker.row.eq(now.row),
            unpacker.count.eq(now.row_pitch),
            write.eq(unpacker.write), row.eq(unpacker.write_row), words.eq(unpacker.words),
            mem.eq(delayed(m, Mux(packed, isa.MEM_WEIGHT, now.mem), 1 + UNPACK_CYCLES, "mem")),
            self.retire.eq(delayed(m, job_ends, 1 + UNPACK_CYCLES, "retiring")),
        ]
        return delayed(m, self.r.valid & self.r.error, UNPACK_CYCLES, "error")
