"""Constants with other values."""

import dataclasses

import pytest

from squeezelerator.compiler.study.sensitivity import constant, constants, cycles, main
from squeezelerator.compiler.tuning import GROUPS, PARTITION


def test_a_constant_has_its_value_back_afterwards():
    before = PARTITION.beam_width
    with pytest.raises(KeyError), constant("partition.beam_width", 1):
        assert PARTITION.beam_width == 1
        raise KeyError
    assert PARTITION.beam_width == before


def test_every_constant_is_named():
    assert len(constants()) == sum(len(dataclasses.fields(group)) for group in GROUPS.values())


def test_a_constant_reaches_the_search():
    before = cycles("tiny_sqnxt", 4)
    with constant("configs.group_ops", 1):
        assert cycles("tiny_sqnxt", 4) > before


def test_the_command_prints_a_row_for_each_value(capsys):
    assert main(["partition.beam_width", "1", "--networks", "tiny_chain", "--pe", "4"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert rows[0].startswith("| 4 (as it is) | ") and rows[1].startswith("| 1 | ")


@pytest.mark.parametrize("words", [
    ["partition.width", "1"], ["partition.beam_width", "wide"], ["partition.beam_width", "1", "--networks", "x"],
])  # fmt: skip
def test_mistakes_are_refused(words):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
