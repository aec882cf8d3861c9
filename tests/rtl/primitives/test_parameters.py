"""What components are made with is checked where they are made; what they count is in the table of events."""

import gc
import importlib
import inspect
import pkgutil
import re

import pytest
from amaranth.hdl import signed
from amaranth.lib import wiring

from squeezelerator import rtl
from squeezelerator.rtl.array.prefetch import RowPrefetch
from squeezelerator.rtl.control.queues import InstructionQueue
from squeezelerator.rtl.postprocess.requantiser import Requantiser
from squeezelerator.rtl.primitives.events import event_ports


def components():
    """All components of the hardware, by name."""
    modules = [importlib.import_module(info.name) for info in pkgutil.walk_packages(rtl.__path__, "squeezelerator.rtl.")]
    found = {value.__name__: value for module in modules for value in vars(module).values()
             if isinstance(value, type) and issubclass(value, wiring.Component) and value.__module__.startswith("squeezelerator.rtl.")}
    return dict(sorted(found.items()))


COMPONENTS = components()

# What is refused has never been used, as Amaranth notices.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


@pytest.fixture(autouse=True)
def collected():
    """Lets go of what was refused while it may be unused."""
    yield
    gc.collect()


def test_the_hardware_has_components():
    assert len(COMPONENTS) > 30


@pytest.mark.parametrize("name", [name for name, made in COMPONENTS.items() if "cfg" in inspect.signature(made).parameters])
def test_a_machine_must_be_a_machine(name):
    others = dict.fromkeys(inspect.signature(COMPONENTS[name]).parameters.keys() - {"cfg"}, 1)
    with pytest.raises(TypeError, match=f"^{name}: cfg must be a MachineConfig, not 3$"):
        COMPONENTS[name](cfg=3, **others)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Requantiser(width=23), "Requantiser: width must be a whole number from 24 to 128, not 23"),
    (lambda: RowPrefetch(n=1), "RowPrefetch: n must be a whole number from 2 to 32, not 1"),
    (lambda: InstructionQueue(unit=5, depth=4), "InstructionQueue: unit must be a whole number from 0 to 4, not 5"),
    (lambda: InstructionQueue(unit=0, depth=True), "InstructionQueue: depth must be a whole number from 1 to 256, not True"),
    (lambda: event_ports({"frobs": 1}), "an event must be in squeezelerator/spec/events.py, which has no 'frobs'"),
    (lambda: event_ports({"macs": signed(4)}), "the increment of macs must be unsigned, not signed(4)"),
])
def test_the_message_says_what_was_given(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


def test_every_unit_counts_what_the_table_has():
    counting = [name for name, made in COMPONENTS.items() if hasattr(made, "events")]
    assert counting == ["ArrayUnit", "DrainUnit", "FetchUnit", "LoadUnit", "PoolUnit", "StoreUnit"]
