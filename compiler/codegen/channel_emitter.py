"""Instructions of channel-wise convolutions: see :mod:`compiler.fusion.channel_schedule`."""

import itertools
from collections.abc import Hashable, Iterator, Sequence

from squeezelerator.compiler.codegen.conv_emitter import Conv, ConvEmitter
from squeezelerator.compiler.codegen.map_transfers import MapTransfers
from squeezelerator.compiler.fusion.channel_schedule import Stretch, channel_stretches, input_lines, weights_stay, whole_line_tiles
from squeezelerator.compiler.ir.group_schedule import Slots
from squeezelerator.compiler.mapping.array_tiles import ArrayTile
from squeezelerator.compiler.mapping.weight_plan import ChannelGroup


class ChannelEmitter:
    """Adds the events of one channel-wise convolution, by means of ``emitter`` and ``transfers``."""

    def __init__(self, conv: Conv, slots: Slots, emitter: ConvEmitter, transfers: MapTransfers) -> None:
        self.conv, self.slots, self.emitter, self.transfers = conv, slots, emitter, transfers
        self.cfg = emitter.cfg
        #: {(stretch, lines): slot} of the stretches in the buffer, the one used last at the end.
        self.held: dict[tuple[Stretch, tuple[int, int]], int] = {}
        #: Channel blocks of results so far.
        self.results = 0

    def run(self) -> None:
        """All array tiles, two channel groups at a time; every other pair goes through the channels backwards."""
        conv, cfg = self.conv, self.cfg
        order = channel_stretches(conv.op, conv.group.streamed, cfg.n, self.slots.blocks)
        stays = weights_stay(conv.plan, cfg) and not conv.refetched
        biases = "all" if 4 * conv.op.out.blocks(cfg.n) <= cfg.bias_rows else None
        tiles, _ = whole_line_tiles(conv.op, cfg)
        for tile, at in itertools.product(tiles, range(0, len(conv.plan.groups), 2)):
            pair = conv.plan.groups[at : at + 2]
            banks = [self.emitter.bank ^ i for i in range(len(pair))]
            self._accumulate(tile, pair, banks, order, 0 if stays else tile.line)
            for channels, self.emitter.bank in zip(pair, banks, strict=True):
                self._finish(tile, channels, biases or tile.line)
            first_blocks = conv.plan.groups[0].blocks
            self.results = -(-self.results // first_blocks) * first_blocks  # the last tile may have fewer
            self.emitter.bank = banks[0] ^ (len(pair) & 1)
            order = order[::-1]

    def _accumulate(self, tile: ArrayTile, pair: Sequence[ChannelGroup], banks: Sequence[int], order: Sequence[Stretch],
                    use: Hashable) -> None:  # fmt: skip
        """Two channel groups of a tile, each in its bank, over all input channels."""
        conv, emitter, fresh = self.conv, self.emitter, set(banks)
        for stretch in order:
            chunks = list(_chunks(pair, banks, stretch))
            place = self._place(stretch, tile) if chunks else 0
            for channels, emitter.bank, index in chunks:
                chunk = channels.chunks[index]
                load = emitter.constants.weights(conv.group, conv.op, channels, index, use)
                emitter.array(conv, chunk, emitter.view(conv, chunk, tile, place), load, first=emitter.bank in fresh)
                fresh.discard(emitter.bank)

    def _place(self, stretch: Stretch, tile: ArrayTile) -> int:
        """By how many blocks a stretch of channels lies further in the buffer; its lines are brought there if they are not yet."""
        part, low, high = stretch
        tensor, lines = self.conv.op.parts[part], input_lines(self.conv.op, tile, self.conv.segments.segs)
        if tensor not in self.conv.group.streamed:
            return 0
        key, held = (stretch, lines), self.held
        if key in held:
            slot = held[key] = held.pop(key)
        else:
            slot = held.pop(next(iter(held))) if len(held) == self.slots.number else len(held)
            held[key] = slot
            self.transfers.load(self.conv.group, tensor, lines, (low, high), slot * self.slots.blocks - low)
        return slot * self.slots.blocks - low

    def _finish(self, tile: ArrayTile, channels: ChannelGroup, biases: Hashable) -> None:
        """Results of a channel group leave the register file, and the buffer if they are stored."""
        conv = self.conv
        place = self.results % self.slots.results - channels.block0 if self.slots.results else 0
        self.results += channels.blocks
        self.emitter.drain(conv, channels, tile, biases, place=place)
        if conv.op.out in conv.group.stored:
            lines = tile.line, tile.line + tile.lines(conv.segments.segs)
            self.transfers.store(conv.group, conv.op.out, lines, (channels.block0, channels.block0 + channels.blocks), place)


def _chunks(pair: Sequence[ChannelGroup], banks: Sequence[int], stretch: Stretch) -> Iterator[tuple[ChannelGroup, int, int]]:
    """(channel group, bank, number) of the chunks that read a stretch of channels."""
    part, low, high = stretch
    for channels, bank in zip(pair, banks, strict=True):
        for index, chunk in enumerate(channels.chunks):
            if chunk.part == part and low <= chunk.blocks[0] < high:
                yield channels, bank, index
