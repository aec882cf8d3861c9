"""The channel schedule of a convolution in OS whose input passes through the buffer by channels.

Where a map has too many channels for the buffer, bands of lines leave array tiles unfilled and fetch weights again for every band. If
tiles take whole lines, as many as array rows hold, the input of each can come by channel blocks instead: a stretch of blocks lies in a
*slot* while two tiles, one for each register-file bank, add what it contributes. The next two tiles go through the channels backwards, so
that they begin with what is still there. Results that are stored leave by channel blocks, too.
"""

from collections.abc import Collection

from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.ir.graph import Op, Tensor
from squeezelerator.compiler.ir.group_schedule import GroupStep, Slots, StepKind, TileRate
from squeezelerator.compiler.mapping.array_tiles import ArrayCost, ArrayTile, array_tiles, units_of
from squeezelerator.compiler.mapping.weight_plan import WeightPlan, leaves_room
from squeezelerator.compiler.tuning import CHANNEL_WISE
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig

#: Channels of the input: (part, first block, end).
Stretch = tuple[int, int, int]


class ChannelSchedule:
    """A :class:`~compiler.ir.group_schedule.GroupSchedule` of one convolution.

    Parameters
    ----------
    context : GroupContext
        Of one convolution.
    slots : Slots
    cost : ArrayCost
        Of its weight plan, in which chunks begin where slots do.
    """

    def __init__(self, context: GroupContext, slots: Slots, cost: ArrayCost) -> None:
        (op,) = context.ops
        self.ops, self.slots, self.plan = context.ops, slots, cost.plan
        self.first = context.streamed[0]
        self.roots: dict[Tensor, Tensor] = dict.fromkeys(context.streamed[1:], self.first)
        total = op.out.h * cost.units
        self.rates, self.step_counts = {op: TileRate(cost.units, total, Dataflow.OS)}, {op: 1}
        self.steps = [*(GroupStep(StepKind.LOAD, tensor, 0, tensor.h) for tensor in context.streamed),
                      GroupStep(StepKind.COMPUTE, op, 0, total),
                      *(GroupStep(StepKind.STORE, tensor, 0, tensor.h) for tensor in context.stored)]  # fmt: skip
        self.array_work, self.pool_work = cost.whole, 0

    def ring_lines(self, slack: float) -> dict[Tensor, int]:
        """{root tensor: lines of its buffer}, whatever the slack."""
        out = self.ops[0].out
        return {self.first: self.slots.lines, out: self.slots.band if self.slots.results else out.h}

    def blocks(self, root: Tensor, n: int) -> int:
        """Channel blocks of a buffer."""
        if root is self.first:
            return self.slots.blocks * self.slots.number
        return self.slots.results or root.blocks(n)


def channel_stretches(op: Op, streamed: Collection[Tensor], n: int, blocks: int) -> list[Stretch]:
    """The channels of the input in the order of an array tile, in stretches; one of a streamed part fills a slot at most."""
    found: list[Stretch] = []
    for part, tensor in enumerate(op.parts):
        total = tensor.blocks(n)
        size = blocks if tensor in streamed else total
        found += [(part, at, min(at + size, total)) for at in range(0, total, size)]
    return found


def input_lines(op: Op, tile: ArrayTile, segs: int) -> tuple[int, int]:
    """(first, end) of the input lines that an array tile reads."""
    tensor, top = op.parts[0], tile.line * op.stride[0] - op.pad[0]
    last = top + (tile.lines(segs) - 1) * op.stride[0] + op.kernel[0] - 1
    return max(0, min(top, tensor.h - 1)), max(0, min(last, tensor.h - 1)) + 1


def tiles_whole_lines(op: Op, cfg: MachineConfig) -> bool:
    """Whether no OS tile of a convolution ends inside a line."""
    segs = units_of(Dataflow.OS, op, cfg.n)
    return segs * op.out.h <= cfg.n or cfg.n % segs == 0


def whole_line_tiles(op: Op, cfg: MachineConfig) -> tuple[tuple[ArrayTile, ...], int]:
    """(the OS tiles of a map, segments in a line)."""
    segs = units_of(Dataflow.OS, op, cfg.n)
    return array_tiles(Dataflow.OS, op, 0, segs * op.out.h, cfg), segs


def is_applicable(context: GroupContext, cfg: MachineConfig) -> bool:
    """Whether a group is one convolution whose array tiles take whole lines, and maps of one size are streamed."""
    op = context.ops[0]
    if len(context.ops) > 1 or not op.is_conv or op.groups != 1 or op.residual is not None or (context.stored and context.live_out):
        return False
    return len({(t.h, t.w) for t in op.parts}) == 1 and len(context.streamed) > 0 and tiles_whole_lines(op, cfg)


def slot_shape(op: Op, cfg: MachineConfig) -> tuple[int, int]:
    """(channel blocks, lines) of a slot."""
    tiles, segs = whole_line_tiles(op, cfg)
    lines = max(end - first for first, end in (input_lines(op, tile, segs) for tile in tiles))
    room = cfg.act_rows // (CHANNEL_WISE.buffer_slots * lines * op.parts[0].w)
    return max(1, min(CHANNEL_WISE.slot_channels // cfg.n, room)), lines


def fit_slots(context: GroupContext, plan: WeightPlan, cfg: MachineConfig, capacity: int) -> Slots | None:
    """The slots for a convolution in ``capacity`` rows, or None if there is no room for them."""
    (op,), streamed = context.ops, context.streamed
    # Tiles that begin inside a block would share its place with the tile before.
    if any(group.lane0 for group in plan.groups):
        return None
    blocks, lines = slot_shape(op, cfg)
    tiles, segs = whole_line_tiles(op, cfg)
    band = tiles[0].lines(segs)
    total, tile_blocks = op.out.blocks(cfg.n), max(group.blocks for group in plan.groups)
    most = sum(-(-t.blocks(cfg.n) // blocks) for t in streamed)
    for waiting in range(CHANNEL_WISE.result_tiles, 0, -1):
        results = 0 if context.live_out else waiting * tile_blocks
        room = capacity - (results * band if results else total * op.out.h) * op.out.w
        count = min(most, room // (blocks * lines * streamed[0].w))
        if count >= min(most, CHANNEL_WISE.min_slots):
            return Slots(blocks, lines, count, results, band)
    return None


def weights_stay(plan: WeightPlan, cfg: MachineConfig) -> bool:
    """Whether the weights stay in their buffer for all array tiles."""
    return leaves_room(plan.rows, cfg)


def transfer_rows(op: Op, plan: WeightPlan, slots: Slots, streamed: Collection[Tensor], cfg: MachineConfig) -> tuple[int, int]:
    """(rows of the input, rows of weights) that cross the bus."""
    tiles, segs = whole_line_tiles(op, cfg)
    pairs, rows = -(-len(plan.groups) // 2), 0
    for tile in tiles:
        first, end = input_lines(op, tile, segs)
        each = [(high - low) * (end - first) * op.parts[part].w for part, low, high in channel_stretches(op, streamed, cfg.n, slots.blocks)
                if op.parts[part] in streamed]  # fmt: skip
        rows += sum(each) + (pairs - 1) * (sum(each) - sum(each[: slots.number]))
    return rows, plan.rows * (1 if weights_stay(plan, cfg) else len(tiles))
