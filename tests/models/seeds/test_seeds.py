"""The page on the texts: what it says is worked out, and is what the command writes."""

from collections import Counter
from pathlib import Path

import pytest

from squeezelerator.models.networks import zoo
from squeezelerator.models.paper.this_machine import load_reports
from squeezelerator.models.seeds.__main__ import items, main
from squeezelerator.models.seeds.item import Item, Text, Verdict, checked, number, quoted
from squeezelerator.models.seeds.layer_rows import ROWS, layer_items

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def found():
    return items(load_reports([ROOT / "docs/results.json"]))


def test_the_page_is_what_the_command_writes(tmp_path):
    assert main(["--machine", str(ROOT / "docs/results.json"), "-o", str(tmp_path / "page.md")]) == 0

    def lines(path):
        # This machine's figures change with every survey.
        return [line for line in path.read_text().splitlines() if "this machine" not in line and "MACs a cycle of" not in line]

    assert lines(ROOT / "docs/seeds.md") == lines(tmp_path / "page.md"), "python -m models.seeds -o docs/seeds.md renews the page"


def test_every_text_has_items_and_none_stands_there_twice(found):
    assert {item.text for item in found} == set(Text)
    count = Counter((item.text, item.where, item.says) for item in found)
    assert not [key for key, number in count.items() if number > 1]


def test_every_verdict_has_its_grounds(found):
    for item in found:
        assert "|" not in item.says + item.published + item.here + item.why
        assert item.why if item.verdict in (Verdict.DIFFERS, Verdict.QUOTED) else item.here and item.command


def test_commands_exist(found):
    modules = {item.command.split()[2] for item in found if item.command}
    for module in modules:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def test_without_reports_this_machine_is_left_out():
    assert not [item for item in items({}) if "this machine" in item.here]


def test_a_number_is_reproduced_to_its_last_digit():
    place = (Text.PAGE, "here")
    assert number(place, "x", 2.4, 2.45, "c", unit=0.1).verdict is Verdict.REPRODUCED
    item = number(place, "x", 2.4, 2.51, "c", unit=0.1, why="because")
    assert (item.verdict, item.why) == (Verdict.DIFFERS, "because")
    assert checked(Text.PAGE, "here", "x", "a", "b", "c", why="because").verdict is Verdict.DIFFERS
    with pytest.raises(ValueError, match="has a reason"):
        number(place, "x", 2.4, 2.51, "c", unit=0.1)
    with pytest.raises(ValueError, match="has a reason"):
        quoted(Text.PAGE, "here", "x", "a", "")
    with pytest.raises(ValueError, match="a value and a command"):
        Item(Text.PAGE, "here", "x", "a", "", Verdict.REPRODUCED, "c")


def test_the_published_layers_are_all_of_the_network():
    table = zoo.get("sqnxt23")
    assert sum(row.repeat for row in ROWS) == sum(layer.has_weights for layer in table.layers)
    assert sum(row.macs for row in ROWS) == pytest.approx(table.macs_with_bias / 1e3, rel=1e-3)
    assert [item.says.split(":")[0] for item in layer_items() if item.verdict is Verdict.DIFFERS] == ["conv11", "conv36"]
