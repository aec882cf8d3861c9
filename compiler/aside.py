"""A number worked out beside everything else, in a process of its own where the system can fork."""

import os


class Aside:
    """Begins to work out ``function()``, a float; ``result`` waits for it."""

    def __init__(self, function):
        self.function, self.pid = function, None
        if not hasattr(os, "fork") or (os.cpu_count() or 1) < 2:
            return
        self.reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.write(writer, repr(float(function())).encode())
            finally:
                os._exit(0)  # nothing of the parent's is flushed or closed twice
        os.close(writer)

    def result(self):
        """The number; worked out here and now if the other process came to nothing."""
        if self.pid is not None:
            with os.fdopen(self.reader) as pipe:
                text = pipe.read()
            os.waitpid(self.pid, 0)
            self.pid = None
            if text:
                return float(text)
        return self.function()
