"""Every tuning constant of the compiler: numbers that change schedules or the time to find them, never what a program computes.

Each class holds the constants of one part of the compiler; its one instance is what that part reads. ``docs/compiler.md`` lists them with
the measurement behind each, made by ``python -m compiler.study.sensitivity``. Limits of the instruction set and of the machine are no
tuning constants: they stand with the code that obeys them and in :mod:`spec`.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class CostTuning:
    """Constants of the closed-form cost models, in cycles unless it says otherwise."""

    #: From issuing a LOAD to its lines being there for the array, beside the memory's latency.
    load_way: int = 10
    #: From issuing a transfer to its first beat on the bus, beside the memory's latency, in the estimate of a program; the way through the
    #: unit is in its tail.
    bus_way: int = 5
    #: Between two instructions that the dispatcher accepts.
    dispatch: int = 6
    #: From the last operand of an instruction to its retirement. LOAD's also has the way from the last beat of a row to its write.
    load_tail: int = 2
    array_tail: int = 12
    drain_tail: int = 13
    pool_tail: int = 12
    store_tail: int = 10
    #: A change of dataflow between two convolutions: the array empties.
    dataflow_switch: int = 45
    #: A step of a group beside its work: filling and emptying the pipelines.
    step_overhead: int = 15
    #: By what factor a channel-wise convolution takes longer than its array's work or its transfers.
    channel_wise_factor: float = 1.03


@dataclasses.dataclass(frozen=True)
class ConfigTuning:
    """Values of the search configurations (:mod:`compiler.search.configuration`)."""

    #: Heights of bands of whole lines: of the configurations for narrow networks, and of those that try many.
    low_bands: tuple[int, ...] = (1, 2)
    all_bands: tuple[int, ...] = (1, 2, 3, 4, 5, 7, 8, 14)
    #: Prefetch distance, in events, and for narrow networks also in cycles of the array.
    prefetch_events: int = 12
    prefetch_cycles: int = 500
    #: Most operations in a group: for cycles and for energy.
    group_ops: int = 9
    group_ops_energy: int = 16
    #: What a beat on the DRAM bus counts at least, in cycles beside the one that it takes: between equals, less traffic wins.
    beat_weight: float = 0.02
    #: Cycles that a unit of energy (a multiplication) counts as where the objective is energy: a cycle counts as much as 67 of them, a
    #: quarter of what 16 x 16 PEs do in it.
    energy_weight: float = 0.015
    #: Some configurations use this weight, or none, because the search is no better than its bounds: these find shorter schedules, which
    #: sometimes take less energy, too. It is for ``energy_weight`` as it is here, and follows one that the user gives.
    mild_energy_weight: float = 0.005
    #: Weights of energy that are tried one after the other where cycles and energy are traded (energy x cycles, bounds, fronts).
    trade_weights: tuple[float, ...] = (0.001, 0.002, 0.004, 0.008)


@dataclasses.dataclass(frozen=True)
class SearchEffort:
    """Limits of the search, all in units of work and not in seconds: the result must not depend on the computer."""

    #: Steps of group schedules after which a search only looks at short extensions of a group.
    schedule_steps: int
    #: Instructions that the trials of one candidate may time.
    trial_instructions: int
    #: Tilings of a group that local search compiles and times.
    tilings_tried: int
    #: A tiling is also tried with wider ring buffers if its trial took at most so many times the best trial.
    widen_within: float
    #: Joint allocations that are timed against each other; None: all.
    joint_allocations: int | None
    #: Whether every candidate that may win is realised, or only the most promising of those that share a cost weight.
    all_candidates: bool


EFFORTS = {
    "normal": SearchEffort(schedule_steps=45_000, trial_instructions=180_000, tilings_tried=3, widen_within=1.03, joint_allocations=3,
                           all_candidates=False),
    "high": SearchEffort(schedule_steps=500_000, trial_instructions=180_000, tilings_tried=5, widen_within=math.inf,
                         joint_allocations=None, all_candidates=True),
}  # fmt: skip
"""What ``--effort`` accepts."""


@dataclasses.dataclass(frozen=True)
class PortfolioTuning:
    """Constants of the portfolio (:mod:`compiler.search.portfolio`, ``candidate``)."""

    #: Operations from which on a second process is worth its start.
    process_ops: int = 12
    #: A candidate that expects so many times the cost of another is hardly ever better in the end.
    dominated: float = 1.025
    #: Shares of the activation buffer that are tried if the buffers cannot be allocated in all of it.
    capacities: tuple[float, ...] = (0.85, 0.7, 0.5)


@dataclasses.dataclass(frozen=True)
class PartitionTuning:
    """Constants of the beam search over fusion partitions (:mod:`compiler.search.partition`)."""

    #: Beam width: states that are followed from each number of operations.
    beam_width: int = 4
    #: Operations by which a group may be extended once the budget of schedule steps is spent.
    short_extension: int = 3
    #: A group that makes a partition so many times as expensive as another is not extended ...
    hopeless: float = 1.02
    #: ... if it happens so many times in a row.
    hopeless_twice: int = 2


@dataclasses.dataclass(frozen=True)
class TilingTuning:
    """Constants of the tiling search of a group (:mod:`compiler.fusion.tiling`)."""

    #: (run ahead, short first step) of the line schedules that are tried.
    orders: tuple[tuple[int, bool], ...] = ((0, True), (1, True), (0, False), (-1, True))
    #: The orders that need the fewest lines.
    compact_orders: tuple[tuple[int, bool], ...] = ((0, False), (-1, True))
    #: Shares of a step's lines by which ring buffers are longer, so that transfers overlap with the work; the first that fits is taken.
    slacks: tuple[float, ...] = (1.0, 0.5, 0.0)
    #: Array tiles of a step that are tried: of a group, and of a single operation.
    tiles_a_step: tuple[int, ...] = (1, 2)
    single_tiles_a_step: tuple[int, ...] = (1, 2, 3, 4, 6)
    #: Up to so many parts all numbers of parts are tried for a single operation.
    single_parts: int = 8
    #: A tiling that costs no more than this times the lower bound ends the search.
    near_bound: float = 1.04
    #: Chunks for which the weight buffer has room beside resident weights, where others pass through.
    passing_chunks: int = 3
    #: Share of the weight buffer up to which a stream leaves room for the prefetch of another.
    stream_share: float = 0.75


@dataclasses.dataclass(frozen=True)
class ChannelWiseTuning:
    """Constants of channel-wise convolutions (:mod:`compiler.fusion.channel_schedule`)."""

    #: Channels of a slot, about: enough work for the array to hide the latency of the next slot's transfer.
    slot_channels: int = 32
    #: Slots that the activation buffer has room for at least, if a slot need not be more than a block.
    buffer_slots: int = 8
    #: Fewest slots of the input: one in use, one being filled, one that has been used.
    min_slots: int = 3
    #: Array tiles whose results wait to be stored, at most.
    result_tiles: int = 3


@dataclasses.dataclass(frozen=True)
class PoolSplitTuning:
    """Constants of splitting convolutions for the pools behind them (:mod:`compiler.search.splits.pool_split`)."""

    #: A split that loses its trial by no more than this factor gets a complete search of its own.
    close: float = 1.4


@dataclasses.dataclass(frozen=True)
class ChannelTilingTuning:
    """Constants of splitting and slicing layers along the channels (:mod:`compiler.search.splits.channel_tiling`)."""

    #: An operation that takes at most so many times its lower bound is left alone.
    good: float = 1.06
    #: Cost that a split must reach, as a share of the cost before.
    gain: float = 0.97
    #: How often a layer is halved, at most.
    halvings: int = 4
    #: Numbers of channel slices that are tried.
    slices: tuple[int, ...] = (2, 4, 8, 16, 32)


@dataclasses.dataclass(frozen=True)
class WidthTilingTuning:
    """Constants of cutting maps into strips of columns (:mod:`compiler.search.splits.width_tiling`)."""

    #: How many strips more than the fewest are tried.
    more_strips: int = 2


@dataclasses.dataclass(frozen=True)
class LocalSearchTuning:
    """Constants of local search by trials (:mod:`compiler.search.local_search`, ``realise``; :mod:`compiler.memory.ring_rotation`)."""

    #: A group that takes at most so many times its lower bound is not worth a trial.
    good: float = 1.015
    #: Lines that single ring buffers get one by one, and the share of the time that one must reach.
    climb_rounds: int = 3
    climb_gain: float = 0.998
    #: Lines by which all ring buffers are widened in the first trials of a tiling.
    widenings: tuple[int, ...] = (0, 1, 2)
    #: Steps of the group before with which a trial begins: transfers may come that early.
    lead_in_steps: int = 10
    #: Other allocations are tried for groups with so many ring buffers that take so many times their lower bound, and how many.
    move_buffers: int = 3
    move_waits: float = 1.06
    move_allocations: int = 6
    #: How often groups get less room until the joint allocation succeeds, and by what part of the buffer each time.
    squeezes: int = 6
    squeeze_part: int = 16
    #: Ring rotation: steps of the group that a trial runs, and cycles that a rotation must save.
    rotation_steps: int = 40
    rotation_gain: int = 20


@dataclasses.dataclass(frozen=True)
class AllocationTuning:
    """Constants of the allocation of the activation buffer (:mod:`compiler.memory`)."""

    #: Cost of transfers into a buffer having to wait for the group before.
    late: int = 12
    #: Random orders in which a group's buffers are allocated.
    random_orders: int = 40
    #: How often maps that are live across groups are allocated in another order.
    retries: int = 60
    #: Share of a buffer that an instruction touches, roughly.
    reach: float = 0.3
    #: Cost of a unit having to wait for a port, relative to the others: LOAD, ARRAY, DRAIN, POOL, STORE.
    port_weights: tuple[int, ...] = (2, 8, 4, 2, 2)
    #: Joint allocation: steps by which a buffer that is filled from DRAM is kept free in advance.
    free_ahead: int = 6
    #: Joint allocation: rounds in which every buffer is moved to where it is cheapest.
    improvements: int = 2


@dataclasses.dataclass(frozen=True)
class CodegenTuning:
    """Constants of code generation (:mod:`compiler.codegen`)."""

    #: Transfers that may stand before the event that comes next without being needed by it yet: LOAD's queue must never be full of
    #: transfers that wait, because then no instruction of any unit gets past them.
    early_transfers: int = 12
    #: How far beyond a transfer that is not released yet others are looked for.
    transfer_window: int = 96
    #: After so many events a transfer that stands early has surely been carried out: it waits no more.
    recent_events: int = 16
    #: Channel blocks up to which a map that is pooled at once takes an instruction for each.
    pool_blocks: int = 16


COST = CostTuning()
CONFIGS = ConfigTuning()
PORTFOLIO = PortfolioTuning()
PARTITION = PartitionTuning()
TILING = TilingTuning()
CHANNEL_WISE = ChannelWiseTuning()
POOL_SPLIT = PoolSplitTuning()
CHANNEL_TILING = ChannelTilingTuning()
WIDTH_TILING = WidthTilingTuning()
LOCAL_SEARCH = LocalSearchTuning()
ALLOCATION = AllocationTuning()
CODEGEN = CodegenTuning()

GROUPS = {
    "cost": COST, "configs": CONFIGS, "portfolio": PORTFOLIO, "partition": PARTITION, "tiling": TILING, "channel_wise": CHANNEL_WISE,
    "pool_split": POOL_SPLIT, "channel_tiling": CHANNEL_TILING, "width_tiling": WIDTH_TILING, "local_search": LOCAL_SEARCH,
    "allocation": ALLOCATION, "codegen": CODEGEN,
}  # fmt: skip
"""The instances by name, for studies that vary a constant."""
