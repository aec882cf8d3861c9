"""The importers' error."""


class WeightError(ValueError):
    """A file or module that cannot be imported; the message is one line that names the tensor or node."""
