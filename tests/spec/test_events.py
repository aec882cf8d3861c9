"""The table of events: registers, cycle model and energy costs read it."""

import io

import pytest

from squeezelerator.sim.engines.model import _add
from squeezelerator.spec import events
from squeezelerator.spec.energy import EnergyError, read_costs, write_costs
from squeezelerator.spec.events import DRAM_WORDS, EVENTS, STALLS, EventGroup, event
from squeezelerator.spec.registers import COUNTERS


def test_every_event_has_a_counter():
    assert COUNTERS is EVENTS


def test_groups():
    assert STALLS == ("array_fill", "stall_fetch", "stall_load", "stall_drain", "stall_pool", "stall_store")
    assert all(event(name).group is EventGroup.TIME for name in STALLS)
    assert set(DRAM_WORDS) == {item.name for item in EVENTS if item.name.startswith("dram_")}


def test_costs_that_were_written_are_read(tmp_path):
    path, text = tmp_path / "costs.csv", io.StringIO()
    write_costs(text)
    path.write_text(text.getvalue())
    assert read_costs(path) == read_costs() == {item.name: item.cost for item in EVENTS if item.cost is not None}


@pytest.mark.parametrize("text,message", [
    ("event,cost\nmacs,1\n", "no cost for act_read_words"),
    ("event,cost\nflops,1\n", "there is no event 'flops'"),
    ("event,cost\nmacs,much\n", "the cost of macs must be a number of at least 0, not 'much'"),
    ("event,price\nmacs,1\n", "column 'cost' is missing"),
])  # fmt: skip
def test_costs_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "costs.csv"
    path.write_text(text)
    with pytest.raises(EnergyError, match=message):
        read_costs(path)


def test_an_event_that_is_in_no_table_is_not_counted_silently():
    with pytest.raises(KeyError, match="flops"):
        _add({}, {"flops": 1})


def test_a_time_costs_nothing(monkeypatch):
    monkeypatch.setattr(events, "EVENTS", (events.Event(name="x", group=EventGroup.TIME, doc="", cost=1),))
    monkeypatch.setattr(events, "_BY_NAME", {"x": None})
    with pytest.raises(ValueError, match="x: a time has no energy cost"):
        events.check_table()
