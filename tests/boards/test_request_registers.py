"""The stage between the machine's requests and the memory controller."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from litex.soc.interconnect import axi
from migen import run_simulation

from squeezelerator.litex.peripheral import RequestRegisters

CYCLES = 300


def run(channel: str, seed: int, patience: float) -> tuple[list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int]]]:
    """Random requests through ``channel`` to a slave that takes one in a cycle with probability ``patience``.

    Returns (requests that the master sent, those that the slave took, for each cycle the master's and the slave's ``ready``).
    """
    master, slave = (axi.AXIInterface(data_width=128, address_width=32, id_width=1) for _ in range(2))
    stage = RequestRegisters(master, slave)
    sent: list[tuple[int, int]] = []
    taken: list[tuple[int, int]] = []
    readies: list[tuple[int, int]] = []

    def process() -> Iterator[Any]:
        random_ = random.Random(seed)
        source, sink = getattr(master, channel), getattr(slave, channel)
        waiting = False
        for _ in range(CYCLES):
            if not waiting:
                waiting = random_.random() < 0.7
                yield source.valid.eq(waiting)
                yield source.addr.eq(random_.randrange(1 << 32))
                yield source.len.eq(random_.randrange(1 << 8))
            yield sink.ready.eq(random_.random() < patience)
            yield
            readies.append(((yield source.ready), (yield sink.ready)))
            if (yield source.valid) and readies[-1][0]:
                sent.append(((yield source.addr), (yield source.len)))
                waiting = False
            if (yield sink.valid) and readies[-1][1]:
                taken.append(((yield sink.addr), (yield sink.len)))
        # Nothing new; what waits is taken.
        yield source.valid.eq(0)
        yield sink.ready.eq(1)
        for _ in range(3):
            yield
            if waiting and (yield source.valid) and (yield source.ready):
                sent.append(((yield source.addr), (yield source.len)))
            if (yield sink.valid):
                taken.append(((yield sink.addr), (yield sink.len)))

    run_simulation(stage, process())
    return sent, taken, readies


@pytest.mark.parametrize("channel", ["aw", "ar"])
@pytest.mark.parametrize("patience", [0.2, 0.6, 1.0])
def test_every_request_arrives_once_and_in_order(channel: str, patience: float) -> None:
    sent, taken, _ = run(channel, 3, patience)
    assert len(sent) > 30
    assert taken == sent


def test_the_masters_ready_does_not_follow_the_slaves_in_the_same_cycle() -> None:
    _, _, readies = run("ar", 3, 0.5)
    assert {(1, 0), (0, 1)} <= set(readies)
