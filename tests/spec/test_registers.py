"""The register table."""

import re

import pytest

from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.registers import COUNTERS, ERRORS, REGISTERS, c_header, config_values, counter_offset, offset_of, register_map


def test_offsets_are_words_and_disjoint():
    offsets = [r.offset for r in REGISTERS] + [counter_offset(c.name) for c in COUNTERS]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % 4 == 0 for offset in offsets)


def test_configuration_registers_describe_the_machine():
    cfg = MachineConfig(n=5, rf=12, bus_bits=64, acc_bits=36)
    values = config_values(cfg, 1)
    assert values["CONFIG0"] == 5 | 12 << 8 | 8 << 16 | 36 << 24
    assert values["FINGERPRINT"] == cfg.fingerprint
    assert all(0 <= value < 1 << 32 for value in values.values())


@pytest.mark.parametrize("n", [2, 32])
def test_largest_configurations_fit_their_fields(n):
    for bus in (64, 256):
        cfg = MachineConfig(n=n, rf=64, bus_bits=bus, acc_bits=48, buffer_kib=min(4 * n * n, 56 * n))
        table = {r.name: r for r in REGISTERS}
        values = config_values(cfg, 1)
        for name, attribute in (("n", "n"), ("rf", "rf"), ("bus_bytes", "bus_bytes"), ("acc_bits", "acc_bits")):
            field = next(f for f in table["CONFIG0"].fields if f.name == name)
            assert values["CONFIG0"] >> field.lsb & ((1 << field.width) - 1) == getattr(cfg, attribute)


def test_header_names_everything():
    text = c_header()
    defined = dict(re.findall(r"#define SQZ_(\w+) (0x[0-9A-F]+|\d+)", text))
    assert int(defined["STATUS"], 16) == offset_of("STATUS")
    assert int(defined["COUNTER_CYCLES"], 16) == counter_offset("cycles")
    assert {f"ERROR_{e.name}" for e in ERRORS} <= set(defined)


def test_map_is_plain():
    found = register_map()
    assert [r["name"] for r in found["registers"]] == [r.name for r in REGISTERS]
    assert found["counters"][0] == {"name": "cycles", "group": "time", "doc": COUNTERS[0].doc, "offset": 0x100}
