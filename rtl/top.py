"""The whole machine."""

from amaranth.hdl import Cat, ClockDomain, DomainRenamer, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.array.array_unit import ArrayUnit
from squeezelerator.rtl.buffer.act_buffer import ActBuffer
from squeezelerator.rtl.buffer.row_memory import RowMemory
from squeezelerator.rtl.control.axi_lite import AxiLiteInterface, AxiLiteSignature
from squeezelerator.rtl.control.counters import CounterBank
from squeezelerator.rtl.control.faults import CODE, FaultPort, FaultReport, first_fault
from squeezelerator.rtl.control.host_port import Control
from squeezelerator.rtl.control.queues import InstructionQueue, RetireCounters
from squeezelerator.rtl.control.watchdog import Watchdog
from squeezelerator.rtl.dma.axi import AxiMaster, AxiPort, AxiSignature
from squeezelerator.rtl.dma.dma_load import LoadUnit
from squeezelerator.rtl.dma.dma_store import StoreUnit
from squeezelerator.rtl.dma.fetch import FetchUnit
from squeezelerator.rtl.postprocess.drain import DrainUnit
from squeezelerator.rtl.postprocess.pool import PoolUnit
from squeezelerator.rtl.primitives.broadcast import broadcast
from squeezelerator.rtl.primitives.events import event_sources
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.registers import ADDRESS_BITS

__all__ = ["Squeezelerator"]


class Squeezelerator(wiring.Component):
    """FETCH, the queues, five units, the buffers, registers and the AXI ports.

    Four clock domains share one clock and differ in their resets: ``bus`` (AXI master, handshakes of the register port) has ``bus_rst``
    only, ``host`` (registers) also ``rst`` and CTRL.reset, ``tally`` (counters) every start, ``sync`` (all else) every cycle in which the
    machine is idle. Buffers and register files are never cleared, see ``docs/control.md``.

    Parameters
    ----------
    cfg : MachineConfig

    Members
    -------
    clk : clock.
    rst : synchronous reset of the machine; it may come at any time, with AXI transactions open.
    bus_rst : the same for the bus side as well: no transaction is open any more on the other side either.
    s_axi : registers, see ``spec.registers``.
    m_axi : DRAM.
    irq : interrupt, level.
    trace_run : a program runs; the first such cycle is cycle 0 of all timing.
    trace_start, trace_retire : for each unit, an instruction is accepted; retires. For simulation.
    """

    clk: Signal
    rst: Signal
    bus_rst: Signal
    s_axi: AxiLiteInterface
    m_axi: AxiPort
    irq: Signal
    trace_run: Signal
    trace_start: Signal
    trace_retire: Signal

    def __init__(self, cfg: MachineConfig) -> None:
        self.cfg = check_config("Squeezelerator", cfg)
        units = len(isa.UNITS)
        super().__init__({
            "clk": In(1), "rst": In(1), "bus_rst": In(1),
            "s_axi": Out(AxiLiteSignature(ADDRESS_BITS)),
            "m_axi": Out(AxiSignature(cfg.bus_bits)),
            "irq": Out(1),
            "trace_run": Out(1), "trace_start": Out(units), "trace_retire": Out(units),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        host = Control(cfg=cfg)
        m.submodules.control = DomainRenamer("host")(host)
        master = AxiMaster(cfg=cfg)
        m.submodules.axi = DomainRenamer("bus")(master)
        resets = {
            "bus": self.bus_rst,
            "host": self.rst | self.bus_rst | host.soft_reset,
            "tally": host.clear | self.bus_rst,
            # A register, because it goes to everything; it is set by ``bus_rst``, too.
            "sync": broadcast(m, host.core_reset, "reset"),
        }
        for name, reset in resets.items():
            domain = ClockDomain(name, local=True)
            setattr(m.domains, name, domain)
            domain.clk = self.clk  # pyright: ignore[reportAttributeAccessIssue] - missing in the stubs
            m.d.comb += domain.rst.eq(reset)  # pyright: ignore[reportAttributeAccessIssue] - missing in the stubs
        m.d.comb += [
            self.irq.eq(host.irq),
            self.trace_run.eq(host.run),
            master.base.eq(host.job.mem_base), master.attributes.eq(host.job.attributes),
            master.run.eq(host.run),
            host.reads.eq(master.reads), host.writes.eq(master.writes), host.bus_idle.eq(master.idle),
        ]
        wiring.connect(m, wiring.flipped(self.s_axi), host.bus)
        wiring.connect(m, master.axi, wiring.flipped(self.m_axi))

        m.submodules.fetch = fetch = FetchUnit(cfg=cfg)
        m.submodules.load = load = LoadUnit(cfg=cfg)
        m.submodules.array = array = ArrayUnit(cfg=cfg)
        m.submodules.drain = drain = DrainUnit(cfg=cfg)
        m.submodules.pool = pool = PoolUnit(cfg=cfg)
        m.submodules.store = store = StoreUnit(cfg=cfg)
        self._memories(m, load, array, drain, pool, store)
        wiring.connect(m, drain.acc, array.drain)
        wiring.connect(m, fetch.request, master.fetch)
        wiring.connect(m, load.request, master.load)
        wiring.connect(m, store.request, master.store)
        wiring.connect(m, store.w, master.w)
        wiring.connect(m, master.r_fetch, fetch.r)
        wiring.connect(m, master.r_load, load.r)
        m.d.comb += [
            store.b_valid.eq(master.b_valid), store.b_error.eq(master.b_error),
            fetch.run.eq(host.run), fetch.prog_offset.eq(host.job.prog_offset), fetch.prog_count.eq(host.job.prog_count),
            fetch.prog_check.eq(host.job.prog_check),
            host.finish.eq(fetch.finish),
        ]
        m.d.comb += [unit.mem_size.eq(host.job.mem_size) for unit in (fetch, load, store)]

        units = (load, array, drain, pool, store)
        retired = RetireCounters()
        m.submodules.retire_counters = DomainRenamer("tally")(retired)
        m.d.comb += [
            retired.run.eq(host.run),
            retired.retire.eq(Cat(unit.retire for unit in units)), self.trace_retire.eq(retired.retire),
            retired.read.eq(store.read),
            load.retired.eq(retired.retired[isa.LOAD]), store.retired.eq(retired.retired[isa.STORE]),
        ]
        for count, *users in zip(retired.retired, fetch.retired, host.retired, strict=True):
            m.d.comb += [user.eq(count) for user in users]
        queues = []
        for number, unit in enumerate(units):
            queue = InstructionQueue(unit=number, depth=cfg.queue_depth, cfg=cfg)
            m.submodules["queue_" + isa.UNITS[number]] = queue
            queues.append(queue)
            wiring.connect(m, queue.instr, unit.instr)
            m.d.comb += [
                queue.run.eq(host.run),
                queue.push.payload.eq(fetch.word),
                queue.push.valid.eq(fetch.push[number]),
                fetch.push_ready[number].eq(queue.push.ready),
                self.trace_start[number].eq(queue.instr.valid & queue.instr.ready),
            ]
            m.d.comb += [queue.retiring[i].eq(retired.reading if i == isa.STORE else retired.retiring[i]) for i in range(len(units))]
        m.d.comb += queues[isa.LOAD].written.eq(retired.retiring[isa.STORE])

        times = self._times(m, array, queues[isa.ARRAY])
        sources = [*times, *(source for unit in (fetch, *units) for source in event_sources(unit, cfg))]
        counters = CounterBank(sources=sources)
        m.submodules.counters = DomainRenamer("tally")(counters)
        m.d.comb += [
            counters.run.eq(host.run), counters.index.eq(host.counter_index), host.counter_value.eq(counters.value),
        ]
        m.submodules.watchdog = watchdog = Watchdog(units=len(units))
        m.d.comb += [
            watchdog.run.eq(host.run),
            watchdog.active.eq(~master.idle | array.computing | drain.out.en | pool.wr.en | retired.retire.any()),
            host.present.eq(Cat(queue.present for queue in queues)), watchdog.waiting.eq(host.present),
        ]
        first_fault(m, {**self._faults(m, fetch, load, store), "watchdog": watchdog.fault}, host.fault, host.fault_unit)
        return m

    def _memories(self, m: Module, load: LoadUnit, array: ArrayUnit, drain: DrainUnit, pool: PoolUnit, store: StoreUnit) -> None:
        """The three buffers and their users."""
        cfg = self.cfg
        m.submodules.act = self._act = act = ActBuffer(cfg=cfg)
        m.submodules.weight = self._weight = weight = RowMemory(cfg=cfg, rows=cfg.weight_rows)
        m.submodules.bias = self._bias = bias = RowMemory(cfg=cfg, rows=cfg.bias_rows)
        for unit_port, memory_port in (
            (array.rd, act.rd_array), (drain.res, act.rd_residual), (pool.rd, act.rd_pool), (store.rd, act.rd_store),
            (load.act, act.wr_load), (drain.out, act.wr_drain), (pool.wr, act.wr_pool),
            (array.wt, weight.rd), (load.weight, weight.wr), (drain.bias, bias.rd), (load.bias, bias.wr),
        ):
            wiring.connect(m, unit_port, memory_port)

    def _times(self, m: Module, array: ArrayUnit, queue: InstructionQueue) -> list[tuple[str, Value]]:
        """Sources of the time counters: exactly one of the causes in every cycle."""
        computing = array.computing
        causes: list[tuple[str, Value]] = [("array_compute", computing)]
        rest = ~computing & ~array.occupied
        causes.append(("array_fill", ~computing & array.occupied))
        causes.append(("stall_fetch", rest & ~queue.present))
        rest = rest & queue.present
        for unit in (isa.LOAD, isa.DRAIN, isa.POOL, isa.STORE):
            causes.append((f"stall_{isa.UNITS[unit]}", rest & queue.waits[unit]))
            rest = rest & ~queue.waits[unit]
        # Nothing is left: a ticket for ARRAY itself is satisfied before ARRAY is empty.
        cycle = Signal(init=1)
        m.d.comb += cycle.eq(1)
        return [("cycles", cycle), *causes]

    def _faults(self, m: Module, fetch: FetchUnit, load: LoadUnit, store: StoreUnit) -> dict[str, FaultReport]:
        """All reports, in the order of precedence."""
        buffer = FaultPort().create(path=("buffer_fault",))
        row = self._act.fault_row | self._weight.fault_row | self._bias.fault_row
        m.d.comb += [
            buffer.valid.eq(self._act.fault_conflict | row),
            buffer.code.eq(CODE["CONFLICT"]),
        ]
        with m.If(row):
            m.d.comb += buffer.code.eq(CODE["ROW"])
        # Readers in the low byte, writers in the next, a bit for each unit. LOAD looks at its rows itself, so that a row which the weight
        # or the bias buffer does not have is one that is read.
        places = (isa.ARRAY, isa.DRAIN, isa.POOL, isa.STORE, 8 + isa.DRAIN, 8 + isa.LOAD, 8 + isa.POOL)
        with m.If(self._act.fault_conflict | self._act.fault_row):
            m.d.comb += [buffer.detail[place].eq(self._act.fault_ports[port]) for port, place in enumerate(places)]
        with m.Else():
            m.d.comb += [buffer.detail[isa.ARRAY].eq(self._weight.fault_row), buffer.detail[isa.DRAIN].eq(self._bias.fault_row)]
        return {"fetch": fetch.fault, "load": load.fault, "store": store.fault, "buffer": buffer}
