"""A convolution in OS whose input passes through the buffer by channels.

Where a map has too many channels for the buffer, bands of lines leave OS passes unfilled and fetch weights again for every band. If passes
take whole lines, as many as array rows hold, the input of each can come by channel blocks instead: a stretch of blocks lies in a *slot*
while two passes, one for each register-file bank, add what it contributes. The next two passes go through the channels backwards, so that
they begin with what is still there. Results that are stored leave by channel blocks, too.
"""

from typing import NamedTuple

from squeezelerator.compiler.fusion.line_schedule import GroupStep, TileRate
from squeezelerator.compiler.mapping.array_tiles import array_tiles, units_of
from squeezelerator.spec.isa import MODE_OS

#: Channels of a slot, about: enough work for the array to hide the next slot's transfer's latency.
_CHANNELS = 32
#: Slots that the activation buffer has room for at least, if a slot need not be more than a block.
_SLOTS = 8
#: Fewest slots of the input: one in use, one that comes, one that has been used.
_FEWEST = 3
#: Passes whose results wait to be stored, at most.
_RESULTS = 3


class ChannelSlots(NamedTuple):
    """How a convolution goes by channels.

    ``blocks``: channel blocks of a slot; ``lines``: lines in it; ``count``: slots; ``results``: channel blocks in which results wait to be
    stored, 0 if they stay; ``band``: lines of a pass.
    """

    blocks: int
    lines: int
    count: int
    results: int
    band: int


class ChannelSchedule:
    """The order of work of such a group, with the members of :class:`~compiler.fusion.line_schedule.LineSchedule` that others use.

    Parameters
    ----------
    situation : compiler.fusion.tiling.Situation
        Of one convolution.
    slots : Slots
    cost : compiler.mapping.array_tiles.ArrayCost
        Of its plan, in which chunks begin where slots do.
    switch : int
        As in Walk.
    """

    def __init__(self, context, slots, cost, switch):
        (op,) = context.ops
        self.ops, self.slots, self.plan = context.ops, slots, cost.plan
        self.overwrite_streamed, self.run_ahead, self.short_first_step, self.switch = False, 0, False, switch
        self.first = context.streamed[0]
        self.roots = {tensor: self.first for tensor in context.streamed[1:]}
        total = op.out.h * cost.units
        self.rates, self.step_counts = {op: TileRate(cost.units, total, MODE_OS)}, {op: 1}
        self.steps = [*(GroupStep("load", tensor, 0, tensor.h) for tensor in context.streamed), GroupStep("step", op, 0, total),
                      *(GroupStep("store", tensor, 0, tensor.h) for tensor in context.stored)]  # fmt: skip
        self.array_work, self.pool_work = cost.whole, 0

    def ring_lines(self, slack):
        """As in Walk: lines of every buffer, whatever the slack."""
        out = self.ops[0].out
        return {self.first: self.slots.lines, out: self.slots.band if self.slots.results else out.h}

    def blocks(self, root, n):
        """Channel blocks of a buffer."""
        if root is self.first:
            return self.slots.blocks * self.slots.count
        return self.slots.results or root.blocks(n)


def channel_stretches(op, streamed, n, blocks):
    """(part, first block, end) of the channels of the input in the order of a pass; one of a streamed part fills a slot at most."""
    found = []
    for part, tensor in enumerate(op.parts):
        total = tensor.blocks(n)
        size = blocks if tensor in streamed else total
        found += [(part, at, min(at + size, total)) for at in range(0, total, size)]
    return found


def input_lines(op, tile, segs):
    """(first, end) of the input lines that a pass reads."""
    tensor, top = op.parts[0], tile.line * op.stride[0] - op.pad[0]
    last = top + (tile.lines(segs) - 1) * op.stride[0] + op.kernel[0] - 1
    return max(0, min(top, tensor.h - 1)), max(0, min(last, tensor.h - 1)) + 1


def whole_line_tiles(op, cfg):
    """(the OS passes over a map, segments in a line) if no pass ends inside a line, else None."""
    segs = units_of(MODE_OS, op, cfg.n)
    total = segs * op.out.h
    if total > cfg.n and cfg.n % segs:
        return None
    return array_tiles(MODE_OS, op, 0, total, cfg), segs


def is_applicable(context, cfg):
    """Whether a situation is one convolution whose passes take whole lines, and maps of one size are streamed."""
    op, streamed = context.ops[0], context.streamed
    if len(context.ops) > 1 or not op.is_conv or op.groups != 1 or op.residual is not None or (context.stored and context.live_out):
        return False
    return len({(t.h, t.w) for t in op.parts}) == 1 and len(streamed) > 0 and whole_line_tiles(op, cfg) is not None


def slot_shape(op, cfg):
    """(channel blocks, lines) of a slot."""
    tiles, segs = whole_line_tiles(op, cfg)
    lines = max(end - first for first, end in (input_lines(op, tile, segs) for tile in tiles))
    return max(1, min(_CHANNELS // cfg.n, cfg.act_rows // (_SLOTS * lines * op.parts[0].w))), lines


def fit_slots(context, plan, cfg, capacity):
    """The :class:`ChannelSlots` for a convolution that can go by channels in ``capacity`` rows, or None if there is no room for them."""
    (op,), streamed = context.ops, context.streamed
    # Passes that begin inside a block would share its place with the pass before.
    if any(group.lane0 for group in plan.groups):
        return None
    blocks, lines = slot_shape(op, cfg)
    tiles, segs = whole_line_tiles(op, cfg)
    band = tiles[0].lines(segs)
    total, a_pass = op.out.blocks(cfg.n), max(group.blocks for group in plan.groups)
    most = sum(-(-t.blocks(cfg.n) // blocks) for t in streamed)
    for waiting in range(_RESULTS, 0, -1):
        results = 0 if context.live_out else waiting * a_pass
        room = capacity - (results * band if results else total * op.out.h) * op.out.w
        count = min(most, room // (blocks * lines * streamed[0].w))
        if count >= min(most, _FEWEST):
            return ChannelSlots(blocks, lines, count, results, band)
    return None


def weights_stay(plan, cfg):
    """Whether the weights stay in their buffer for all passes."""
    return plan.rows <= cfg.weight_rows * 3 // 4


def transfers(op, plan, slots, streamed, cfg):
    """(rows of the input, rows of weights) that cross the bus."""
    tiles, segs = whole_line_tiles(op, cfg)
    pairs, rows = -(-len(plan.groups) // 2), 0
    for tile in tiles:
        first, end = input_lines(op, tile, segs)
        each = [(high - low) * (end - first) * op.parts[part].w for part, low, high in channel_stretches(op, streamed, cfg.n, slots.blocks)
                if op.parts[part] in streamed]  # fmt: skip
        rows += sum(each) + (pairs - 1) * (sum(each) - sum(each[: slots.count]))
    return rows, plan.rows * (1 if weights_stay(plan, cfg) else len(tiles))
