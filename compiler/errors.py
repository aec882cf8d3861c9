"""The compiler's error."""


class CompileError(ValueError):
    """A network that this machine cannot run; the message is one line that names the layer and what it would need."""


class GroupError(CompileError):
    """A group of operations that does not fit the activation buffer; ``tensor`` is its largest result."""

    def __init__(self, message, group, tensor):
        super().__init__(message)
        self.group, self.tensor = group, tensor


class StreamError(CompileError):
    """Weight streams of operation ``op`` that find no place in their buffer beside what else it holds."""

    def __init__(self, message, op):
        super().__init__(message)
        self.op = op
