"""The importers' error."""

from squeezelerator.common.errors import UserError


class WeightError(UserError, ValueError):
    """A file or module that cannot be imported; the message is one line that names the tensor or node."""
