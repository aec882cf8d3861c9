"""The lower bound of a group: what no schedule can do without."""

from collections.abc import Iterable

from squeezelerator.compiler.ir.graph import Tensor
from squeezelerator.compiler.mapping.array_tiles import ArrayCost
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile


def lower_bound(cfg: MachineConfig, costs: Iterable[ArrayCost], moved: Iterable[Tensor],
                memory: DramProfile = REFERENCE) -> int:  # fmt: skip
    """Cycles of the array for whole maps in full tiles, or of the bus for moving everything once, whichever are more.

    Parameters
    ----------
    cfg : spec.machine.MachineConfig
    costs : iterable of ArrayCost
        Of the convolutions.
    moved : iterable of Tensor
        Maps that come from DRAM or go there.
    memory : spec.platform.memory.DramProfile
    """
    costs = list(costs)
    rows = sum(tensor.rows(cfg.n) for tensor in moved) + sum(cost.plan.rows for cost in costs)
    return max(sum(cost.whole for cost in costs), rows * memory.row_cycles(cfg))
