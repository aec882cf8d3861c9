"""Runs one job after the other: start, run, stop, wait for the bus, report. The state machine of ``docs/control.md``."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, memory, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.control.faults import CODE, FaultPort, FaultReport
from squeezelerator.rtl.control.jobs import Job
from squeezelerator.spec import isa
from squeezelerator.spec.constants.dma import UNPACK_CYCLES
from squeezelerator.spec.registers import COUNTER_BITS, FAULT_UNITS, JOB_PLACES, LIMIT_UNIT

__all__ = ["QUIET_CYCLES", "Sequencer", "State"]

#: Cycles without an open transaction after which the bus is quiet: the error of a last beat takes at most one less to be reported.
QUIET_CYCLES = UNPACK_CYCLES + 4


class State(enum.IntEnum, shape=2):
    """What the machine does; DRAIN is what a reset leads to."""

    DRAIN = 0
    IDLE = 1
    PREPARE = 2
    RUN = 3


class Outcome(enum.IntEnum, shape=2):
    """How the job ended whose transactions are waited for."""

    NONE = 0
    DONE = 1
    ERROR = 2
    ABORTED = 3


class Sequencer(wiring.Component):
    """The queue of jobs and the state machine that runs them.

    A start in cycle t, on an idle machine, brings PREPARE in t + 2 and the first cycle of ``run`` in t + 3. ``run`` falls in the cycle
    after ``finish``, a fault or an abort. The outcome is reported, with ``raised``, when no transaction has been open for QUIET_CYCLES.

    Members
    -------
    start, job : a job is to be queued. abort : end the one that runs, drop those that wait. Pulses, not both in one cycle.
    bus_idle : no AXI transaction is open.
    finish, fault, fault_unit, present : from the core; ``present`` has a bit for each unit that has an instruction waiting.
    run, active : the job that runs. reset_next : the core is to be in reset in the next cycle. clear : counters begin anew.
    raised : interrupts done, error, aborted; pulses.
    idle, stopping, done, error, aborted, refused, code, unit, detail, ended, waiting, failed, cycles : as in the registers.
    """

    start: Signal
    job: data.View
    abort: Signal
    bus_idle: Signal
    finish: Signal
    fault: FaultReport
    fault_unit: Signal
    present: Signal
    run: Signal
    active: data.View
    reset_next: Signal
    clear: Signal
    raised: Signal
    idle: Signal
    stopping: Signal
    done: Signal
    error: Signal
    aborted: Signal
    refused: Signal
    code: Signal
    unit: Signal
    detail: Signal
    ended: Signal
    waiting: Signal
    failed: Signal
    cycles: Signal

    def __init__(self) -> None:
        super().__init__({
            "start": In(1), "job": In(Job()), "abort": In(1),
            "bus_idle": In(1),
            "finish": In(1), "fault": In(FaultPort()), "fault_unit": In(range(len(FAULT_UNITS))), "present": In(len(isa.UNITS)),
            "run": Out(1), "active": Out(Job()), "reset_next": Out(1), "clear": Out(1),
            "raised": Out(3),
            "idle": Out(1), "stopping": Out(1), "done": Out(1), "error": Out(1), "aborted": Out(1), "refused": Out(1),
            "code": Out(4), "unit": Out(range(len(FAULT_UNITS))), "detail": Out(32),
            "ended": Out(16), "waiting": Out(range(JOB_PLACES + 1)), "failed": Out(16), "cycles": Out(COUNTER_BITS),
        })

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        state = Signal(State)
        following = Signal(State)
        aborting = Signal()
        quiet = Signal()
        take = Signal()
        over = Signal()
        outcome = Signal(Outcome)
        m.d.sync += [state.eq(following), self.run.eq(following == State.RUN), self.clear.eq(following == State.PREPARE)]
        m.d.comb += [
            following.eq(state),
            self.reset_next.eq((following == State.IDLE) | (following == State.PREPARE)),
            self.stopping.eq(state == State.DRAIN),
            self.idle.eq((state == State.IDLE) & (self.waiting == 0) & ~aborting),
        ]
        stopped = Signal()
        drop = Signal()
        # What fails takes those with it that wait.
        m.d.comb += drop.eq(stopped | self.abort)
        self._queue(m, take, drop)
        self._quiet(m, state, quiet)
        cycles = self._cycles(m, over)

        # An abort is answered when nothing runs and nothing is open any more.
        answered = Signal()
        posted = Signal()
        m.d.comb += [answered.eq(aborting & ((state == State.IDLE) | quiet)), posted.eq(quiet & (outcome != Outcome.NONE))]
        m.d.sync += aborting.eq((aborting & ~answered) | self.abort)

        bus_error = Signal()
        m.d.comb += bus_error.eq(self.fault.valid & ((self.fault.code == CODE["READ"]) | (self.fault.code == CODE["WRITE"])))
        with m.Switch(state):
            with m.Case(State.DRAIN):
                with m.If(quiet):
                    m.d.comb += following.eq(State.IDLE)
                    m.d.sync += outcome.eq(Outcome.NONE)
                # A write that fails after END.
                with m.Elif((outcome == Outcome.DONE) & bus_error):
                    m.d.comb += stopped.eq(1)
                    m.d.sync += outcome.eq(Outcome.ERROR)
            with m.Case(State.IDLE):
                m.d.comb += take.eq((self.waiting != 0) & ~self.abort & ~aborting)
                with m.If(take):
                    m.d.comb += following.eq(State.PREPARE)
            with m.Case(State.PREPARE):
                m.d.comb += following.eq(State.RUN)
            with m.Case(State.RUN):
                aborts = aborting | self.abort
                fails = self.fault.valid | (over & ~self.finish)
                with m.If(fails | self.finish | aborts):
                    m.d.comb += [following.eq(State.DRAIN), stopped.eq(fails | ~self.finish)]
                    m.d.sync += outcome.eq(Mux(fails, Outcome.ERROR, Mux(self.finish, Outcome.DONE, Outcome.ABORTED)))
        with m.If(stopped):
            m.d.sync += self.failed.eq(self.ended)
            with m.If(self.fault.valid):
                m.d.sync += [self.code.eq(self.fault.code), self.unit.eq(self.fault_unit), self.detail.eq(self.fault.detail)]
            with m.Else():
                m.d.sync += [
                    self.code.eq(Mux(over, CODE["LIMIT"], CODE["ABORT"])), self.unit.eq(FAULT_UNITS.index("control")),
                    self.detail.eq(self.present),
                ]
        with m.If(posted):
            m.d.sync += [
                self.done.eq(outcome == Outcome.DONE), self.error.eq(outcome == Outcome.ERROR), self.aborted.eq(outcome == Outcome.ABORTED),
                self.ended.eq(self.ended + 1), self.cycles.eq(cycles),
            ]
        m.d.comb += self.raised.eq(Cat(posted & (outcome == Outcome.DONE), posted & (outcome == Outcome.ERROR), answered))
        return m

    def _queue(self, m: Module, take: Signal, drop: Signal) -> None:
        """Jobs that wait: a start puts one in, ``take`` makes the oldest the active one, ``drop`` empties the queue but for a job that
        comes in this cycle."""
        m.submodules.jobs = jobs = memory.Memory(shape=Job(), depth=JOB_PLACES, init=[])
        write, read = jobs.write_port(), jobs.read_port(domain="comb")
        head = Signal(range(JOB_PLACES))
        tail = Signal(range(JOB_PLACES))
        accepted = Signal()
        m.d.comb += [
            accepted.eq(self.start & (self.waiting != JOB_PLACES)),
            write.addr.eq(tail), write.data.eq(self.job), write.en.eq(accepted), read.addr.eq(head),
        ]
        for pointer, moves in ((tail, accepted), (head, take)):
            with m.If(moves):
                m.d.sync += pointer.eq(Mux(pointer == JOB_PLACES - 1, 0, pointer + 1))
        m.d.sync += self.waiting.eq(self.waiting + accepted - take)
        with m.If(drop):
            m.d.sync += [head.eq(tail), self.waiting.eq(accepted)]
        with m.If(take):
            m.d.sync += [self.active.eq(read.data), self.done.eq(0), self.error.eq(0), self.aborted.eq(0)]
        with m.If(self.start):
            m.d.sync += self.refused.eq(~accepted)

    def _quiet(self, m: Module, state: Signal, quiet: Signal) -> None:
        """``quiet``: the last of QUIET_CYCLES cycles of DRAIN in which no transaction was open."""
        count = Signal(range(QUIET_CYCLES))
        m.d.comb += quiet.eq((state == State.DRAIN) & self.bus_idle & (count == QUIET_CYCLES - 1))
        m.d.sync += count.eq(Mux((state == State.DRAIN) & self.bus_idle & ~quiet, count + 1, 0))

    def _cycles(self, m: Module, over: Signal) -> Signal:
        """Cycles that the job has run; ``over``: more than its limit."""
        cycles = Signal(COUNTER_BITS)
        shift = LIMIT_UNIT.bit_length() - 1
        with m.If(self.clear):
            m.d.sync += cycles.eq(0)
        with m.Elif(self.run):
            m.d.sync += cycles.eq(cycles + 1)
        limit = self.active.cycle_limit
        m.d.sync += over.eq(self.run & (limit != 0) & (cycles[shift : shift + len(limit)] == limit))
        return cycles
