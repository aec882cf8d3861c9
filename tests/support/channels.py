"""Networks and a search for schedules in which convolutions go by channels (compiler.fusion.channel_schedule)."""

import dataclasses

from squeezelerator.compiler.fusion.tiling import Chooser
from squeezelerator.compiler.search.channel_tiling import Cutter
from squeezelerator.models.tables.builder import TableBuilder


def prefer_channels(monkeypatch):
    """Small networks have quicker ways: let this one count next to nothing, and cut no maps."""
    search = Chooser._channelwise

    def cheap(self, *args):
        choice = search(self, *args)
        return choice and dataclasses.replace(choice, cost=choice.cost / 100)

    monkeypatch.setattr(Chooser, "_channelwise", cheap)
    monkeypatch.setattr(Cutter, "run", lambda self, graph: graph)


def wide(n, size, kernel=1, parts=1):
    """A network whose second convolution has a map of ``size`` by ``size`` pixels that fills the buffer several times."""
    net = TableBuilder("wide", (3, size, size))
    maps = tuple(net.conv(f"conv1_{i}", 24 * n // parts, source="input") for i in range(parts))
    net.conv("conv2", 10 * n + 1, kernel, source=maps, pad=kernel // 2)
    net.conv("conv3", 5, activation="none")
    return net.table()
