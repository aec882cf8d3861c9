"""STORE: from the activation buffer to DRAM."""

from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.buffer.ports import AccessInterface, ReadPort
from squeezelerator.rtl.control.decode import decode
from squeezelerator.rtl.control.faults import CODE, FaultPort, FaultReport
from squeezelerator.rtl.dma.axi import BurstRequest, WriteBeat
from squeezelerator.rtl.dma.bursts import BurstGenerator
from squeezelerator.rtl.primitives.events import event_ports
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec.constants.dma import store_fifo_rows
from squeezelerator.spec.machine import MachineConfig

__all__ = ["StoreUnit"]


class StoreUnit(wiring.Component):
    """Executes STORE instructions, reading the next one's rows while this one's responses are still to come.

    An instruction accepted in cycle t reads a buffer row a cycle from t + 1 on while fewer than ``store_fifo_rows`` are held or on
    their way, and asks for its first burst in t + cfg.read_latency + 1, so that the first beat is there when a memory can take it; from
    then on data comes as fast as a memory takes it. At most ``cfg.outstanding`` bursts are in flight (a response in cycle t makes
    room in t + 1). The next instruction is accepted from the cycle after both the last read and the last request on.
    ``read`` follows the last read by one cycle, ``retire`` the last response.

    Throughput: one beat a cycle.

    Parameters
    ----------
    cfg : MachineConfig
        The machine; of it ``n`` (2 to 32: words of a buffer row), ``bus_bits``, ``burst_beats`` (beats), ``outstanding`` (bursts in flight)
        and ``read_latency`` (cycles).

    Members
    -------
    instr : stream of instruction words (64 bytes) whose tickets are satisfied.
    retire : 1 in the cycle after the response to the instruction's last burst.
    read : pulse, an instruction's rows have all been read: its part of the buffer and the port are free.
    mem_size : bytes of the program's memory.
    retired : instructions retired, modulo 65536, for reports of faults.
    rd : :class:`~rtl.buffer.ports.ReadPort` of the activation buffer, row access.
    request : stream of AXI writes, :class:`~rtl.dma.axi.BurstRequest`.
    w : stream of their beats, :class:`~rtl.dma.axi.WriteBeat`.
    b_valid, b_error : the response to the oldest burst in flight; with an error.
    fault : :class:`~rtl.control.faults.FaultPort`: an address that is not acceptable, a write error.
    ev_dram_write_words, ev_act_read_words : words of each kind in this cycle (see ``events``).
    """

    instr: stream.Interface
    retire: Signal
    read: Signal
    mem_size: Signal
    retired: Signal
    rd: AccessInterface
    request: stream.Interface
    w: stream.Interface
    b_valid: Signal
    b_error: Signal
    fault: FaultReport
    ev_dram_write_words: Signal
    ev_act_read_words: Signal

    @staticmethod
    def events(cfg: MachineConfig) -> dict[str, ShapeLike]:
        """Counted events and the width of their increments."""
        return {"dram_write_words": 5, "act_read_words": 6}

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("StoreUnit", cfg)
        super().__init__({
            "instr": In(stream.Signature(512)),
            "retire": Out(1), "read": Out(1),
            "mem_size": In(32),
            "retired": In(16),
            "rd": Out(ReadPort(cfg.n)),
            "request": Out(stream.Signature(BurstRequest())),
            "w": Out(stream.Signature(WriteBeat(cfg.bus_bits))),
            "b_valid": In(1),
            "b_error": In(1),
            "fault": Out(FaultPort()),
            **event_ports(self.events(cfg)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        fields = decode("STORE", self.instr.payload)
        accept = Signal()
        reading = Signal()
        row_out = Signal()

        # Asking for bursts.
        m.submodules.bursts = bursts = BurstGenerator(
            cfg=cfg, max_beats=cfg.burst_beats, beats_width=16 + (cfg.row_beats - 1).bit_length())
        flying = Signal(range(cfg.outstanding + 1))
        delay = Signal(range(cfg.read_latency + 2))
        acceptable = (fields.rows != 0) & (fields.lines != 0)
        m.d.comb += [
            self.instr.ready.eq(~bursts.busy & ~reading),
            accept.eq(self.instr.valid & self.instr.ready),
            bursts.start.eq(accept), bursts.any.eq(acceptable),
            bursts.offset.eq(fields.dram),
            bursts.line_beats.eq(fields.rows * cfg.row_beats),
            bursts.lines.eq(fields.lines),
            bursts.pitch.eq(fields.dram_pitch),
            bursts.limit.eq(self.mem_size),
            bursts.enable.eq((flying != cfg.outstanding) & (delay == 0)),
        ]
        wiring.connect(m, bursts.request, wiring.flipped(self.request))
        asked = Signal()
        m.d.comb += asked.eq(self.request.valid & self.request.ready)
        m.d.sync += flying.eq(flying + asked - self.b_valid)
        with m.If(accept):
            m.d.sync += delay.eq(cfg.read_latency)
        with m.Elif(delay != 0):
            m.d.sync += delay.eq(delay - 1)

        # Reading the buffer: ``room`` counts the rows for which there is still place.
        row = Signal(16)
        line_row = Signal(16)
        row_pitch = Signal(16)
        rows = Signal(16)
        rows_left = Signal(16)
        lines_left = Signal(16)
        most = store_fifo_rows(cfg)
        room = Signal(range(most + 1), init=most)
        m.d.comb += [
            self.rd.en.eq(reading & (room != 0)),
            self.rd.row.eq(row),
            self.rd.mask.eq(Const(-1, cfg.n)),
            self.ev_act_read_words.eq(Mux(self.rd.en, cfg.n, 0)),
        ]
        last_row = Signal()
        m.d.comb += last_row.eq((rows_left == 1) & (lines_left == 1))
        m.d.sync += [room.eq(room - self.rd.en + row_out), self.read.eq(self.rd.en & last_row)]
        with m.If(bursts.start):
            m.d.sync += [
                reading.eq(acceptable),
                row.eq(fields.row), line_row.eq(fields.row), row_pitch.eq(fields.row_pitch),
                rows.eq(fields.rows), rows_left.eq(fields.rows), lines_left.eq(fields.lines),
            ]
        with m.Elif(self.rd.en):
            m.d.sync += [row.eq(row + 1), rows_left.eq(rows_left - 1)]
            with m.If(rows_left == 1):
                m.d.sync += [
                    row.eq(line_row + row_pitch), line_row.eq(line_row + row_pitch),
                    rows_left.eq(rows), lines_left.eq(lines_left - 1),
                    reading.eq(lines_left != 1),
                ]
        arrives = Signal(cfg.read_latency)
        m.d.sync += arrives.eq(Cat(self.rd.en, arrives))
        m.submodules.held = held = fifo.SyncFIFOBuffered(width=16 * cfg.n, depth=most + 1)
        m.d.comb += [held.w_data.eq(self.rd.data), held.w_en.eq(arrives[-1])]

        # Sending: beats of the bursts that have been asked for.
        m.submodules.lengths = lengths = fifo.SyncFIFO(width=9, depth=cfg.outstanding)
        m.d.comb += [lengths.w_data.eq(self.request.payload.beats), lengths.w_en.eq(asked)]
        sent = Signal(9)
        beat_out = self.w.valid & self.w.ready
        beats = [held.r_data[i * cfg.bus_bits : (i + 1) * cfg.bus_bits] for i in range(cfg.row_beats)]
        m.d.comb += [
            self.w.valid.eq(held.r_rdy & lengths.r_rdy),
            self.w.payload.last.eq(sent + 1 == lengths.r_data),
            lengths.r_en.eq(beat_out & self.w.payload.last),
            held.r_en.eq(row_out),
            self.ev_dram_write_words.eq(Mux(beat_out, cfg.bus_words, 0)),
        ]
        if cfg.row_beats == 1:
            m.d.comb += [self.w.payload.data.eq(held.r_data), row_out.eq(beat_out)]
        else:
            beat = Signal(range(cfg.row_beats))
            m.d.comb += row_out.eq(beat_out & (beat == cfg.row_beats - 1))
            with m.Switch(beat):
                for i in range(cfg.row_beats):
                    with m.Case(i):
                        m.d.comb += self.w.payload.data.eq(beats[i])
            with m.If(beat_out):
                m.d.sync += beat.eq(Mux(row_out, 0, beat + 1))
        with m.If(beat_out):
            m.d.sync += sent.eq(Mux(self.w.payload.last, 0, sent + 1))

        # Responses: one flag for each burst in flight, set for an instruction's last.
        m.submodules.finals = finals = fifo.SyncFIFO(width=1, depth=cfg.outstanding)
        m.d.comb += [finals.w_data.eq(bursts.final), finals.w_en.eq(asked), finals.r_en.eq(self.b_valid)]
        m.d.sync += self.retire.eq(self.b_valid & finals.r_data)

        m.d.comb += [
            self.fault.valid.eq(bursts.fault | (self.b_valid & self.b_error)),
            self.fault.detail.eq(Mux(bursts.fault, self.request.payload.offset, self.retired)),
            self.fault.code.eq(Mux(bursts.fault, CODE["ADDRESS"], CODE["WRITE"])),
        ]
        return m
