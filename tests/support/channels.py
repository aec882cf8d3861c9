"""Networks and a search for schedules in which convolutions go by channels (compiler.fusion.channel_schedule)."""

import dataclasses

from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.search.splits.channel_tiling import ChannelTiler
from squeezelerator.models.tables.builder import TableBuilder


def prefer_channels(monkeypatch):
    """Small networks have quicker ways: let this one count next to nothing, and cut no maps."""
    search = TilingSearch._channel_tiling

    def cheap(self, *args):
        tiling = search(self, *args)
        return tiling and dataclasses.replace(tiling, cost=tiling.cost / 100)

    monkeypatch.setattr(TilingSearch, "_channel_tiling", cheap)
    monkeypatch.setattr(ChannelTiler, "run", lambda self, graph: graph)


def wide(n, size, kernel=1, parts=1):
    """A network whose second convolution has a map of ``size`` by ``size`` pixels that fills the buffer several times."""
    net = TableBuilder("wide", (3, size, size))
    maps = tuple(net.conv(f"conv1_{i}", 24 * n // parts, source="input") for i in range(parts))
    net.conv("conv2", 10 * n + 1, kernel, source=maps, pad=kernel // 2)
    net.conv("conv3", 5, activation="none")
    return net.table()
