"""Weight plans: every weight that is not zero is in exactly one stream, in both dataflows."""

import numpy as np
import pytest

from squeezelerator.compiler.lowering.lower import lower
from squeezelerator.compiler.mapping.weight_plan import OsSource, leaves_room
from squeezelerator.compiler.mapping.weight_streams import make_weight_plan
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig


def _nonzeros(plan):
    for chunk in (chunk for group in plan.groups for chunk in group.chunks):
        yield np.count_nonzero(chunk.source.values if isinstance(chunk.source, OsSource) else chunk.source.weight)


@pytest.mark.parametrize("dataflow", list(Dataflow))
@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("name", ["tiny_all", "tiny_grouped", "tiny_separable"])
def test_every_weight_is_in_one_stream(name, n, dataflow):
    cfg = MachineConfig(n=n)
    for op in lower(synthetic(zoo.get(name)), cfg).ops:
        if op.is_conv:
            plan = make_weight_plan(op, cfg, dataflow)
            assert sum(_nonzeros(plan)) == np.count_nonzero(op.filters[op.first : op.first + op.out.c])
            assert sum(group.channels for group in plan.groups) == op.out.c
            assert all(chunk.rows <= cfg.weight_rows for group in plan.groups for chunk in group.chunks)


@pytest.mark.parametrize("n", [2, 3, 5, 8, 16])
def test_three_quarters_of_the_buffer_leave_room(n):
    cfg = MachineConfig(n=n)
    assert [leaves_room(rows, cfg) for rows in range(cfg.weight_rows + 1)] == [rows <= cfg.weight_rows * 3 // 4
                                                                              for rows in range(cfg.weight_rows + 1)]  # fmt: skip
