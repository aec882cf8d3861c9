"""The compiler's error."""

from squeezelerator.common.errors import UserError


class CompileError(UserError, ValueError):
    """A network that this machine cannot run; the message is one line that names the layer and what it would need."""


class GroupError(CompileError):
    """An operation that does not fit the activation buffer; ``tensor`` is its result."""

    def __init__(self, message, tensor):
        super().__init__(message)
        self.tensor = tensor


class StreamError(CompileError):
    """Weight streams of operation ``op`` that find no place in their buffer beside what else it holds."""

    def __init__(self, message, op):
        super().__init__(message)
        self.op = op
