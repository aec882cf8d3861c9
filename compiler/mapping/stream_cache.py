"""The weight plans of a network, each made once however often and in how many graphs its convolution is looked at."""

from squeezelerator.compiler.mapping.array_tiles import ArrayCost
from squeezelerator.compiler.mapping.weight_streams import make_weight_plan


class PlanCache:
    """Remembers the :class:`~compiler.mapping.array_tiles.ArrayCost` of every convolution, with its plan, for the machine ``cfg``."""

    def __init__(self, cfg):
        self.cfg = cfg
        self._known = {}

    def cost(self, op, mode, cuts):
        """The cost of a convolution in a dataflow, new chunks beginning at the (part, block)s in ``cuts``."""
        key = op, mode, tuple(cuts)
        if key not in self._known:
            self._known[key] = ArrayCost(self.cfg, make_weight_plan(op, self.cfg, mode, cuts))
        return self._known[key]

    def forget(self, graph):
        """Drop what operations outside ``graph`` have left."""
        ops = set(graph.ops)
        self._known = {key: cost for key, cost in self._known.items() if key[0] in ops}

    def __iter__(self):
        return (cost.plan for cost in self._known.values())
