"""Walks that several views of a network share: most views look at the same groups in the same ways."""

from squeezelerator.compiler.fusion.line_schedule import TooLong, Walk


class Walks:
    """Remembers every :class:`~compiler.fusion.line_schedule.Walk`, and from how many cycles on one is known to be too long."""

    def __init__(self):
        self._known, self._long = {}, {}

    def walk(self, ops, pace, times, *, fine, most, **options):
        """The walk; raises TooLong if it is not known and takes more than ``most`` cycles.

        ``fine`` (see ``Strategy``) decides about the plans behind ``times``; the others are those of Walk.
        """
        over = tuple(options["over"].items())
        key = (tuple(ops), tuple(pace.values()), options["streamed"], options["stored"], options["kept"], over, options["ahead"],
               options["early"], options["wait"], fine)  # fmt: skip
        if key not in self._known:
            short, steps = self._long.get(key, (0, 0))
            if most <= short:
                raise TooLong(steps)
            try:
                walk = Walk(ops, pace, times, most=most, **options)
            except TooLong as error:
                self._long[key] = most, error.steps
                raise
            walk.forget()
            self._known[key] = walk
        return self._known[key]
