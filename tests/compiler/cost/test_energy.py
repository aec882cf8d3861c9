"""The energy on chip that the search expects of a dataflow, against the counters of the cycle model."""

import collections

import numpy as np
import pytest

from squeezelerator.compiler.api import compile_full
from squeezelerator.compiler.cost import energy as energy_module
from squeezelerator.compiler.cost.energy import onchip_energy
from squeezelerator.compiler.mapping.array_tiles import ArrayCost
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.sim.engines.run import run_program_engine
from squeezelerator.spec.energy import energy, read_costs
from squeezelerator.spec.machine import MachineConfig

#: What both dataflows have in common, and is not expected.
COMMON = ("act_write_words", "weight_write_words", "bias_write_words", "dram_read_words", "dram_write_words", "dram_fetch_words")


@pytest.mark.parametrize("kernel,channels,filters", [(1, 32, 24), (3, 8, 16), (3, 16, 40)])
@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_expected_energy_is_near_what_is_counted(dataflow, kernel, channels, filters):
    net = TableBuilder("one", (channels, 8, 8))
    net.conv("conv", filters, kernel, pad=kernel // 2)
    net, cfg = synthetic(net.table()), MachineConfig(n=4)
    found = compile_full(net, cfg, dataflow=dataflow)
    expected, events = 0, collections.Counter()
    for group in found.schedule.groups:
        for op, plan in group.plans.items():
            computing, weights = onchip_energy(plan, cfg, read_costs())
            cost = ArrayCost(cfg, plan)
            passes = sum(cost.of(units).tiles * count for units, count in group.step_sizes(op).items()) // len(plan.groups)
            expected += computing + weights * passes
            for part in plan.groups:
                events.update({"os": energy_module._os_events, "ws": energy_module._ws_events}[dataflow](plan, part, cfg, 64))
    counted = run_program_engine("model", found.program, synthetic_input(net.table)).result.counters
    rest = {name: count for name, count in counted.items() if name not in COMMON}
    rest["rf_words"] -= filters * 64  # the drain's
    rest["act_read_words"] -= filters * 64  # STORE's
    assert energy(rest, read_costs()) == pytest.approx(expected, rel=0.03)
    # The maps fill array tiles, so that all is exact but what padding leaves of the rows that OS takes over from each other.
    near = {name: 0.05 if (dataflow, name) == ("os", "act_read_words") else 1e-9 for name in events}
    assert events == {name: pytest.approx(rest[name], rel=tolerance) for name, tolerance in near.items()}


def test_zero_weights_cost_no_multiplications_in_either_dataflow():
    for dataflow in ("os", "ws"):
        net = TableBuilder("one", (8, 8, 8))
        net.conv("conv", 8)
        net = synthetic(net.table(), 0, 0.5)
        program = compile_full(net, MachineConfig(n=4), dataflow=dataflow).program
        counted = run_program_engine("model", program, synthetic_input(net.table)).result.counters
        assert counted["macs"] == 64 * np.count_nonzero(net.quant["conv"].weight)


def test_lines_that_fill_the_array_take_nothing_over_from_each_other():
    # Four segments of four columns: the line below begins as many array rows away as there are.
    net = TableBuilder("one", (4, 8, 16))
    net.conv("conv", 8, 3, pad=1)
    net, cfg = synthetic(net.table()), MachineConfig(n=4)
    found = compile_full(net, cfg, dataflow="os")
    plans = [plan for group in found.schedule.groups for plan in group.plans.values()]
    expected = sum(energy_module._os_events(plan, part, cfg, 128)["neighbour_words"] for plan in plans for part in plan.groups)
    assert expected == run_program_engine("model", found.program, synthetic_input(net.table)).result.counters["neighbour_words"] == 0
