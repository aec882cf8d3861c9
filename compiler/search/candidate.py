"""A network seen with one strategy."""

from squeezelerator.compiler.errors import GroupError
from squeezelerator.compiler.fusion.tiling import Chooser
from squeezelerator.compiler.lowering.channel_split import split
from squeezelerator.compiler.memory.allocate import NoRoom
from squeezelerator.compiler.search.partition import Scheduler

#: Shares of the activation buffer that are tried if the buffers cannot be placed in all of it.
_CAPACITIES = (0.85, 0.7, 0.5)


class View:
    """A network seen with one strategy: the way through it that this finds, and what it is expected to cost.

    What does not fit the buffer even by itself is cut along the channels.
    """

    def __init__(self, graph, cfg, dataflow, fusion, strategy, plans, walks=None, thorough=True):
        self.cfg, self.fusion = cfg, fusion
        while True:
            self.chooser = Chooser(graph, cfg, dataflow, strategy, plans, thorough, walks)
            self.graph = graph
            try:
                self.scheduler = self._scheduler(1.0)
                self.cost, self.path = self.scheduler.find()
                if not thorough:
                    self.schedule()  # only a look at what has to be cut: the buffers must find places, too
                return
            except GroupError as error:
                graph = split(graph, error.tensor, cfg.n)
                if graph is None:
                    raise

    def _scheduler(self, share):
        return Scheduler(self.graph, self.cfg, self.chooser, self.fusion, int(self.cfg.act_rows * share))

    def schedule(self):
        """The schedule, every buffer in its place, for as much of the activation buffer as that allows."""
        try:
            return self.scheduler.settle(self.path)
        except NoRoom as error:
            failure = error
        for share in _CAPACITIES:
            try:
                scheduler = self._scheduler(share)
                return scheduler.settle(scheduler.find()[1])
            except NoRoom:
                continue
            except GroupError:
                break  # with less room an operation may not fit at all; what stopped the larger one is the better message
        raise failure
