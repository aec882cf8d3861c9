"""Walks that several views of a network share: most views look at the same groups in the same ways."""

from squeezelerator.compiler.fusion.line_schedule import LineSchedule, ScheduleTooLong


class ScheduleCache:
    """Remembers every :class:`~compiler.fusion.line_schedule.LineSchedule`, and from how many cycles on one is known to be too long."""

    def __init__(self):
        self._known, self._long = {}, {}

    def schedule(self, ops, rates, times, *, split_first_block, most, **options):
        """The walk; raises ScheduleTooLong if it is not known and takes more than ``most`` cycles.

        ``fine`` (see ``SearchConfig``) decides about the plans behind ``times``; the others are those of Walk.
        """
        overwrites = tuple(options["overwrites"].items())
        key = (tuple(ops), tuple(rates.values()), options["streamed"], options["stored"], options["live_out"], overwrites,
               options["run_ahead"], options["short_first_step"], options["reload_wait"], split_first_block)  # fmt: skip
        if key not in self._known:
            short, steps = self._long.get(key, (0, 0))
            if most <= short:
                raise ScheduleTooLong(steps)
            try:
                schedule = LineSchedule(ops, rates, times, most=most, **options)
            except ScheduleTooLong as error:
                self._long[key] = most, error.step_counts
                raise
            schedule.forget()
            self._known[key] = schedule
        return self._known[key]
