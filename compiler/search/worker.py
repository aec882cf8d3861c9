"""Something worked out beside everything else, in a process of its own where the system can fork, and a word with it on the way."""

import os
import pickle


class _Pickler(pickle.Pickler):
    """Writes the number of an object that both processes have had since before the fork instead of its contents."""

    def __init__(self, file, known):
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.numbers = {id(thing): number for number, thing in enumerate(known)}

    def persistent_id(self, thing):
        return self.numbers.get(id(thing))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, known):
        super().__init__(file)
        self.known = known

    def persistent_load(self, number):
        return self.known[number]


def finish(generator, message):
    """What a generator that stands at its only ``yield`` returns if that gives it ``message``."""
    try:
        generator.send(message)
    except StopIteration as end:
        return end.value
    raise AssertionError("a second yield")


class Aside:
    """Begins to work out ``generator()``, which yields a message once, gets one in return, and then returns its result.

    ``exchange`` has to be called before ``result``.

    Parameters
    ----------
    generator : callable()
        What it yields and returns must be picklable.
    known : list
        Large objects that may occur in that: they come back as themselves, not as copies.
    """

    def __init__(self, generator, known=()):
        self.generator, self.known, self.pid = generator, known, None
        self.here, self.message = None, None
        if not hasattr(os, "fork") or (os.cpu_count() or 1) < 2:
            return
        (down_end, down), (up, up_end) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(down)
                os.close(up)
                with os.fdopen(down_end, "rb") as hear, os.fdopen(up_end, "wb") as say:
                    running = generator()
                    self._say(say, next(running))
                    self._say(say, finish(running, _Unpickler(hear, known).load()))
            finally:
                os._exit(0)  # nothing of the parent's is flushed or closed twice
        os.close(down_end)
        os.close(up_end)
        self.hear, self.say = os.fdopen(up, "rb"), os.fdopen(down, "wb")

    def _say(self, pipe, thing):
        _Pickler(pipe, self.known).dump(thing)
        pipe.flush()

    def _heard(self):
        """The other process's next message; raises what a process causes that was killed or ended by an error."""
        return _Unpickler(self.hear, self.known).load()

    def _end(self):
        for pipe in (self.hear, self.say):
            try:
                pipe.close()
            except OSError:
                pass  # nobody reads what was left in it
        os.waitpid(self.pid, 0)
        self.pid = None

    def exchange(self, message):
        """The message that the generator yields, for ``message``."""
        self.message = message
        if self.pid is not None:
            try:
                theirs = self._heard()
                self._say(self.say, message)
                return theirs
            except (EOFError, pickle.UnpicklingError, OSError):
                self._end()
        self.here = self.generator()
        return next(self.here)

    def result(self):
        """What the generator returns; worked out here and now if the other process came to nothing."""
        if self.pid is not None:
            try:
                return self._heard()
            except (EOFError, pickle.UnpicklingError):
                pass  # what went wrong there comes up again here
            finally:
                self._end()
        if self.here is None:
            self.here = self.generator()
            next(self.here)
        return finish(self.here, self.message)
