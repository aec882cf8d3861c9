"""What several candidates of a network share: most configurations look at the same groups in the same ways."""

from collections.abc import Hashable
from typing import Any

from squeezelerator.compiler.fusion.line_schedule import LineParameters, LineSchedule, ScheduleTooLong
from squeezelerator.compiler.fusion.line_scheduler import LineScheduler
from squeezelerator.compiler.ir.group_schedule import StepTimes


class ScheduleCache:
    """Remembers every :class:`LineSchedule`, and from how many cycles on one is known to be too long.

    ``trials``: results of trials, for :class:`~compiler.search.trial.Trial`.
    """

    def __init__(self, trials: dict[Hashable, Any] | None = None) -> None:
        self._known: dict[Hashable, LineSchedule] = {}
        self.trials: dict[Hashable, Any] = {} if trials is None else trials
        self._long: dict[Hashable, tuple[float, int]] = {}

    def schedule(self, parameters: LineParameters, times: StepTimes, split_first_block: bool, most: float) -> LineSchedule:
        """The schedule; raises ScheduleTooLong if it is not known and takes more than ``most`` cycles.

        ``split_first_block`` (see :class:`~compiler.search.configuration.SearchConfig`) decides about the weight plans behind ``times``.
        """
        key = parameters.key(), split_first_block
        if key not in self._known:
            too_long, step_counts = self._long.get(key, (0, 0))
            if most <= too_long:
                raise ScheduleTooLong(step_counts)
            try:
                self._known[key] = LineScheduler(parameters, times, most).run()
            except ScheduleTooLong as error:
                self._long[key] = most, error.step_counts
                raise
        return self._known[key]
