"""The importers' error."""

from collections.abc import Sequence

from squeezelerator.common.errors import UserError


class WeightError(UserError, ValueError):
    """A file or module that cannot be imported; the message is one line that names the tensor or node."""


class NodesRefused(WeightError):
    """Nodes that cannot be lowered; ``nodes`` holds the first output of each."""

    def __init__(self, text: str, nodes: Sequence[str]) -> None:
        super().__init__(text)
        self.nodes = tuple(nodes)


class OutputRefused(WeightError):
    """An output that cannot leave the machine in its form; ``output`` is its name."""

    def __init__(self, text: str, output: str) -> None:
        super().__init__(text)
        self.output = output
