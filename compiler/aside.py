"""Something worked out beside everything else, in a process of its own where the system can fork."""

import io
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


class Aside:
    """Begins to work out ``function()``; ``result`` waits for it.

    Parameters
    ----------
    function : callable()
        What it returns must be picklable.
    known : list
        Large objects that may occur in that: they come back as themselves, not as copies.
    """

    def __init__(self, function, known=()):
        self.function, self.known, self.pid = function, known, None
        if not hasattr(os, "fork") or (os.cpu_count() or 1) < 2:
            return
        self.reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                data = io.BytesIO()
                _Pickler(data, known).dump(function())
                with os.fdopen(writer, "wb") as pipe:
                    pipe.write(data.getvalue())
            finally:
                os._exit(0)  # nothing of the parent's is flushed or closed twice
        os.close(writer)

    def result(self):
        """What the function returns; worked out here and now if the other process came to nothing."""
        if self.pid is not None:
            with os.fdopen(self.reader, "rb") as pipe:
                data = pipe.read()
            os.waitpid(self.pid, 0)
            self.pid = None
            try:
                return _Unpickler(io.BytesIO(data), self.known).load()
            except (EOFError, pickle.UnpicklingError):
                pass  # it was killed, or ended by an error, which comes up again here
        return self.function()
