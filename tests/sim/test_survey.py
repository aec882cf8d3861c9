"""The page of results: what is on it, and what was measured before the instruction set changed."""

from squeezelerator.compiler.search.configuration import VERSION
from squeezelerator.sim.survey import page
from squeezelerator.spec.machine import ISA_VERSION

NOW = {"isa": ISA_VERSION, "schedules": VERSION}


def _report(dataflow, cycles, **more):
    totals = {"macs": 1000, "nonzero_macs": 600, "cycles": {"model": cycles}, "dram_words": 10, "energy": 1e9, "mismatches": 0}
    return ("sqnxt23v5", 16, dataflow), {"network": "sqnxt23v5", "pe": 16, "dataflow": dataflow, "totals": totals, "layers": [], **more}


def test_old_results_are_marked():
    old = NOW | {"schedules": 1}
    text = page(dict([_report("auto", 700_000, **NOW), _report("os", 1_400_000, **old), _report("ws", 2_100_000, **NOW)]))
    row = next(line for line in text.splitlines() if line.startswith("| sqnxt23v5"))
    assert "| 700,000 |" in row and "| 2.00x† | 3.00x |" in row
    assert "† compiled by an earlier version" in text


def test_results_of_a_machine_with_other_sectors_are_marked():
    for sectors, mark in ((8, ""), (4, "†")):
        assert f"| 700,000{mark} |" in page(dict([_report("auto", 700_000, sectors=sectors, **NOW)]))


def test_what_was_compiled_for_energy_has_a_table_of_its_own():
    text = page(dict([_report("auto", 700_000, **NOW)]), dict([_report("auto", 900_000, **NOW)]))
    first, second = text.index("| sqnxt23v5 | 1,000 | 700,000"), text.index("| sqnxt23v5 | 1,000 | 900,000")
    assert first < text.index("16 x 16, compiled for energy") < second


def test_nothing_is_marked_if_all_is_new():
    assert "†" not in page(dict([_report("auto", 700_000, **NOW)]))
