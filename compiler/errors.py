"""The compiler's error."""


class CompileError(ValueError):
    """A network that this machine cannot run; the message is one line that names the layer and what it would need."""
