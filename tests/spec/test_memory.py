"""Memories: what the numbers mean, and what is refused."""

import pytest

from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import MEMORIES, REFERENCE, DramProfile, UnknownMemory, memory_of
from squeezelerator.timing.memory import MemoryTiming


def test_the_reference_memory_gives_a_beat_a_cycle():
    timing = MemoryTiming(REFERENCE, MachineConfig(n=8))
    assert [timing.serve(0, 4), timing.serve(1, 4), timing.serve(200, 1, write=True)] == [100, 104, 300]


def test_beats_openings_and_turns_take_their_time():
    memory, cfg = DramProfile("slow", latency=10, bytes_a_cycle=4, opening=3, turning=5), MachineConfig(n=8)
    timing = MemoryTiming(memory, cfg)
    assert memory.beat_cycles(cfg) == 4
    # Two beats end in cycle 18; then 3 cycles, and 5 more before the write.
    assert [timing.serve(0, 2), timing.serve(0, 1, write=True), timing.serve(0, 1, write=True)] == [10, 10 + 8 + 3 + 5, 26 + 4 + 3]
    assert memory.line_cycles(cfg, 65) == 65 * 4 + 2 * 3


def test_no_memory_is_faster_than_its_port():
    assert DramProfile("fast", bytes_a_cycle=64).beat_cycles(MachineConfig(n=8, bus_bits=64)) == 1


def test_a_named_memory_can_be_changed():
    assert memory_of("sdr16,latency=30,opening=0") == DramProfile("sdr16,latency=30,opening=0", 30, 4, 0, MEMORIES["sdr16"].turning)


@pytest.mark.parametrize("text", ["", "sram", "sdr16,speed=3", "sdr16,latency", "sdr16,latency=x", "sdr16,latency=0", "sdr16,opening=5000"])
def test_other_words_are_refused_in_one_line(text):
    with pytest.raises(UnknownMemory, match=r"^(no )?memory") as refused:
        memory_of(text)
    assert "\n" not in str(refused.value)
