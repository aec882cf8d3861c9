"""The views of a network compete: what each expects decides which are followed to the end, and then what they really take."""

import math

from squeezelerator.compiler.codegen.assemble import Placed
from squeezelerator.compiler.cost.exact import cycles
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.schedule_cache import Walks
from squeezelerator.compiler.search.candidate import View
from squeezelerator.compiler.search.configuration import weights
from squeezelerator.compiler.search.worker import Aside, finish
from squeezelerator.spec.dma_timing import instruction_beats
from squeezelerator.spec.isa import LOAD, STORE

#: Operations from which on it is worth a process to look at a network in another way.
_ASIDE = 12
#: A view that expects so many times the cost of another is hardly ever better in the end.
_HOPELESS = 1.025


class Contest:
    """Views of ``graph``, one for each of the strategies ``views``; the others as in :class:`~compiler.fusion.tiling.Chooser`."""

    def __init__(self, graph, cfg, dataflow, fusion, objective, views, plans):
        self.graph, self.cfg, self.dataflow, self.fusion, self.objective = graph, cfg, dataflow, fusion, objective
        self.views, self.plans = views, plans
        self.every = views[0].effort.all_views or len(graph.ops) < _ASIDE

    def winner(self):
        """(graph, schedule) of the best view; the graph may have more cuts than that of all.

        Raises
        ------
        CompileError
            If none has a schedule.
        """
        # Half of the views are followed in a process beside this one; with less effort those that share walks stay together.
        numbers = sorted(range(len(self.views)), key=lambda number: (0 if self.every else not self.views[number].fine, number))
        if len(self.views) > 1 and len(self.graph.ops) >= _ASIDE:
            cut = sum(view.fine for view in self.views)
            here, there = (numbers[::2], numbers[1::2]) if self.every or not cut else (numbers[:cut], numbers[cut:])
            beside, running = Aside(lambda: self._best(there), [*self.graph.objects(), *self.plans]), self._best(here)
            mine = finish(running, beside.exchange(next(running)))
            best = min(mine, beside.result(), key=lambda way: way[:2])
        else:
            best = self._all(numbers)
        if best[2] is None:
            best = self._all(numbers)  # the views that those which failed had been expected to beat
        cost, _, found = best
        if cost == math.inf:
            raise CompileError(found)
        return found

    def _all(self, numbers):
        running = self._best(numbers)
        next(running)
        return finish(running, {})

    def _best(self, which):
        """(cost, number of the view, (graph, schedule)) of the best of some views; infinite, with a message or None, if none has a
        schedule or is expected to win. Yields {weight of a beat: the least cost that one of these views expects}, to be answered with
        the same of the other views; what views with different weights expect cannot be compared."""
        found, looks, walks = [], [], Walks()
        for number in which:
            try:
                looks.append((number, View(self.graph, self.cfg, self.dataflow, self.fusion, self.views[number], self.plans, walks)))
            except CompileError as error:
                found.append((math.inf, number, str(error)))
        # Of equals the one that places everything together, if only one is followed.
        looks.sort(key=lambda look: (look[1].cost, look[0] if self.every else -look[0]))
        mine = {self.views[number].beat: view.cost for number, view in reversed(looks)}
        theirs = yield mine
        if self.every:
            theirs = {}  # other halves of the views may look at the same ways
        alone = not self.every and all(cost > _HOPELESS * mine.get(beat, math.inf) for beat, cost in theirs.items())
        # Where one has a schedule, those that expect to be slower by more than expectations are wrong are followed no further.
        least = {}
        for number, view in looks:
            beat = self.views[number].beat
            if view.cost > _HOPELESS * theirs.get(beat, math.inf):
                found.append((math.inf, -1, None))
                continue
            if beat in least and (not self.every or view.cost > _HOPELESS * least[beat]):
                continue
            try:
                schedule = view.schedule()
            except CompileError as error:
                found.append((math.inf, number, str(error)))
                continue
            least[beat] = min(least.get(beat, math.inf), view.cost)
            needless = alone and len(mine) == 1 or len(self.views) == 1  # nothing to compare it with
            found.append((0 if needless else self._cost(view, schedule), number, (view.graph, schedule)))
        return min(found, key=lambda way: way[:2])

    def _cost(self, view, schedule):
        """What the objective counts of a schedule."""
        cfg, counts = self.cfg, weights(self.objective)
        placed = Placed(cfg, view.graph, schedule, contents=False)
        rows = sum(i["rows"] * i["lines"] for i in placed.code if i.unit in (LOAD, STORE))
        beats = rows * cfg.row_beats + len(placed.code) * instruction_beats(cfg)
        cost = cycles(cfg, placed.code, placed.steps, placed.prog_offset) + counts["beat"] * beats
        if counts["unit"]:
            plans = [(op, plan.mode, group.steps(op)) for group in schedule.groups for op, plan in group.plans.items()]
            cost += counts["unit"] * sum(view.chooser.onchip_energy(*one) for one in plans)
        return cost
