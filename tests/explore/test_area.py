"""The model of area: measurements, their errors, and machines that grow."""

import pytest

from squeezelerator.explore.evaluation.area import area, area_errors, read_measured
from squeezelerator.explore.measure_area import area_of_cells
from squeezelerator.spec.machine import MachineConfig


def test_the_model_is_close_to_what_was_measured():
    for one in read_measured():
        found = area(one.cfg)
        assert found.luts == pytest.approx(one.area.luts, rel=0.05) and found.flip_flops == pytest.approx(one.area.flip_flops, rel=0.05)
        assert found.multipliers == pytest.approx(one.area.multipliers, rel=0.05)
        assert found.block_rams == pytest.approx(one.area.block_rams, rel=0.1)


def test_its_error_is_of_machines_that_it_has_not_seen():
    errors = area_errors()
    assert all(0 <= one.mean <= one.worst and one.machines == len(read_measured()) for one in errors.values())
    # A machine that was fitted itself would be missed by less.
    assert errors["luts"].worst > 100 * max(abs(area(one.cfg).luts / one.area.luts - 1) for one in read_measured())


def test_larger_machines_take_more():
    sizes = [area(MachineConfig(n=n)) for n in (4, 8, 16, 32)]
    for name in ("luts", "flip_flops", "multipliers", "block_rams"):
        numbers = [getattr(one, name) for one in sizes]
        assert numbers == sorted(set(numbers))


def test_cells_of_the_device_as_area():
    found = area_of_cells({"LUT4": 100, "CCU2C": 10, "TRELLIS_DPR16X4": 5, "TRELLIS_FF": 7, "MULT18X18D": 2, "DP16KD": 3, "DCCA": 1})
    assert (found.luts, found.flip_flops, found.multipliers, found.block_rams) == (150, 7, 2, 3)
